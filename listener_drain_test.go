package chanio_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestDrainLetsSessionsRunUntilTheyEnd(t *testing.T) {
	for _, way := range listeners {
		t.Run(way.name, func(t *testing.T) {
			l := way.listen(t, t.Context(), nil)
			handled := serveEach(l, sendBack)
			conn := connectTo(t, l)
			requireAnswer(t, conn, "before")

			ctx, cancel := context.WithCancel(t.Context())
			drained := make(chan error, 1)
			go func() { drained <- l.Drain(ctx) }()
			await(t, l.Draining(), "the drain")
			requireAnswer(t, conn, "while it drains")
			cancel()
			require.ErrorIs(t, <-drained, context.Canceled)
			requireAnswer(t, conn, "after the drain's context, and what is left goes on")

			go func() { drained <- l.Drain(t.Context()) }()
			require.NoError(t, conn.Close())
			require.NoError(t, <-drained)
			await(t, handled, "the handlers")
			awaitDone(t, l)
			require.NoError(t, l.Err())
			_, err := net.Dial(l.Addr().Network(), l.Addr().String())
			require.Error(t, err)
		})
	}
}

func TestConnectionsMadeBeforeADrainAreDelivered(t *testing.T) {
	const connections = 50
	for _, way := range listeners {
		if way.name == "portable" {
			continue // without deadlines, how long it accepts depends on the clock
		}
		t.Run(way.name, func(t *testing.T) {
			l := way.listen(t, t.Context(), nil)
			requireDrainDelivers(t, l, connections, func() net.Conn { return connectTo(t, l) })
		})
	}
	t.Run("portable", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, ln := serveMem(t, nil)
			requireDrainDelivers(t, l, connections, func() net.Conn { return ln.dial() })
		})
	})
}

// A busyListener accepts late, as on a busy machine: the deadlines of its first
// calls of Accept have passed when they look.
type busyListener struct {
	*net.TCPListener
	late atomic.Int32
}

func (ln *busyListener) SetDeadline(at time.Time) error {
	if ln.late.Add(-1) >= 0 {
		at = time.Unix(1, 0)
	}
	return ln.TCPListener.SetDeadline(at)
}

func TestABusyMachineDrainsItsBacklogToo(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it does not tell what waits")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	busy := &busyListener{TCPListener: ln.(*net.TCPListener)}
	busy.late.Store(20)
	l := chanio.Serve(t.Context(), busy, &chanio.Options{MaxHandshakes: 1})
	requireDrainDelivers(t, l, 20, func() net.Conn { return connectTo(t, l) })
}

func TestADrainWaitsForHandshakesAndDeliversTheirSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemServer(t, t.Context(), chanio.Options{})
		silent := m.ln.dial()
		raw := m.ln.dial()
		defer raw.Close()
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- m.Drain(t.Context()) }()
		time.Sleep(time.Second) // what waited to be accepted has been
		require.Nil(t, m.ln.dial(), "no new connection is accepted")
		connectOver(t, m, raw)
		s := <-m.Sessions()
		s.Abort(nil)
		silent.Close()
		_, ok := <-m.Sessions()
		require.False(t, ok)
		require.NoError(t, <-drained)
	})
}

func TestCloseEndsADrain(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(l *chanio.Listener, cancel context.CancelFunc)
	}{
		{"Close", func(l *chanio.Listener, _ context.CancelFunc) { l.Close() }},
		{"Shutdown", func(l *chanio.Listener, _ context.CancelFunc) { l.Shutdown(context.Background()) }},
		{"the context", func(_ *chanio.Listener, cancel context.CancelFunc) { cancel() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := newMemServer(t, ctx, chanio.Options{HandshakeTimeout: -1})
				m.connect(t) // and is never received
				m.ln.dial()  // and never says anything
				drained := make(chan error, 1)
				go func() { drained <- m.Drain(context.Background()) }()
				time.Sleep(time.Hour)
				require.Equal(t, 1, m.Len())
				test.end(m.Listener, cancel)
				require.NoError(t, <-drained)
			})
		})
	}
}

func TestADrainWaitsForAnAcceptThatABusyMachineHoldsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		ln.replace <- func(conn net.Conn) net.Conn {
			<-time.After(20 * time.Millisecond)
			return conn
		}
		requireDrainDelivers(t, l, 3, func() net.Conn {
			conn := ln.dial()
			synctest.Wait() // Accept has the first, and holds it
			return conn
		})
	})
}

func TestADrainDuringARestartEndsTheListener(t *testing.T) {
	for range 50 {
		l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
		restarted := make(chan error, 1)
		go func() { restarted <- l.Restart(t.Context()) }()
		require.NoError(t, l.Drain(t.Context()))
		<-restarted // nil, or that it was too late
	}
}

func TestARestartDuringADrainIsRefusedAndEndsNothing(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	conn := connectTo(t, l) // and is not received yet
	drained := make(chan error, 1)
	go func() { drained <- l.Drain(t.Context()) }()
	await(t, l.Draining(), "the drain")
	require.ErrorIs(t, l.Restart(t.Context()), chanio.ErrClosed)
	serveEach(l, sendBack)
	requireAnswer(t, conn, "hello")
	require.NoError(t, conn.Close())
	require.NoError(t, <-drained)
}

func TestADrainingUDPListenerServesOnlyItsExistingPeers(t *testing.T) {
	l := listenOn(t, t.Context(), "udp", "127.0.0.1:0", nil)
	handled := serveEach(l, sendBack)
	old, err := net.Dial("udp", l.Addr().String())
	require.NoError(t, err)
	defer old.Close()
	exchange := func() error {
		old.SetDeadline(time.Now().Add(patience))
		_, err := old.Write([]byte("hello"))
		require.NoError(t, err)
		_, err = io.ReadAtLeast(old, make([]byte, 10), 5)
		return err
	}
	require.NoError(t, exchange())
	drained := make(chan error, 1)
	go func() { drained <- l.Drain(t.Context()) }()
	<-l.Draining()
	require.NoError(t, exchange())
	require.Equal(t, 1, l.Len())
	l.DisconnectAll()
	require.NoError(t, <-drained)
	await(t, handled, "the handlers")

	idle := listenOn(t, t.Context(), "udp", "127.0.0.1:0", nil)
	require.NoError(t, idle.Drain(t.Context()), "without peers it ends at once")
}

// requireDrainDelivers checks that n connections that connect made before l
// drains, and that wait to be accepted, are delivered.
func requireDrainDelivers(t *testing.T, l *chanio.Listener, n int, connect func() net.Conn) {
	t.Helper()
	var conns []net.Conn
	for range n {
		conns = append(conns, connect())
	}
	drained := make(chan error, 1)
	go func() { drained <- l.Drain(t.Context()) }()
	<-l.Draining()
	serveEach(l, sendBack)
	for _, conn := range conns {
		requireAnswer(t, conn, "hello")
		require.NoError(t, conn.Close())
	}
	require.NoError(t, <-drained)
}

// connectOver shakes hands over raw.
func connectOver(t *testing.T, m *memServer, raw net.Conn) {
	t.Helper()
	require.NoError(t, tls.Client(raw, m.client).Handshake())
}

// requireAnswer checks that what is sent over conn comes back.
func requireAnswer(t *testing.T, conn net.Conn, message string) {
	t.Helper()
	_, err := conn.Write([]byte(message))
	require.NoError(t, err)
	answer := make([]byte, len(message))
	_, err = io.ReadFull(conn, answer)
	require.NoError(t, err)
	require.Equal(t, message, string(answer))
}
