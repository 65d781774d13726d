package chanio_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestRestartOfAUDPListenerForgetsItsPeers(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			l := listenUDP(t, &q.o)
			addr := l.Addr().String()
			conn := connectTo(t, l)
			handled := serveEach(l, sendBack)
			for i := range 3 {
				require.Equal(t, fmt.Sprint(i), ask(t, conn, fmt.Sprint(i)))
				all := slices.Collect(l.All())
				require.Len(t, all, 1)
				require.NoError(t, l.Restart(t.Context()))
				require.True(t, isClosed(all[0].Done()))
				require.ErrorIs(t, all[0].Err(), chanio.ErrClosed)
				require.Zero(t, l.Len())
				require.Equal(t, addr, l.Addr().String())
			}
			require.Equal(t, "the same peer", ask(t, conn, "the same peer"))
			require.NoError(t, l.Close())
			await(t, handled, "the handlers")
			st := l.Stats()
			require.EqualValues(t, 4, st.Accepted)
			require.EqualValues(t, 4, st.MessagesReceived)
			require.EqualValues(t, 4, st.MessagesSent)
			require.ErrorIs(t, l.Restart(t.Context()), chanio.ErrClosed)
		})
	}
}

func TestRestartWhileAFloodArrives(t *testing.T) {
	o := &chanio.Options{MaxSessions: 50, MaxHandshakes: 20, IdleTimeout: 5 * time.Millisecond}
	// The port is below the ephemeral ones: a sender could get one of those while
	// nothing is bound to it.
	var l *chanio.Listener
	var err error
	for range 100 {
		l, err = chanio.Listen(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", 12_000+rand.IntN(16_000)), o)
		if err == nil {
			break
		}
	}
	require.NoError(t, err, "found no free port")
	defer l.Close()
	handled := serveEach(l, sendBack)
	stop := make(chan struct{})
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() {
			for !isClosed(stop) {
				conn, err := net.Dial("udp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				for range 10 {
					conn.Write([]byte("hello")) // it is refused while nothing is bound
				}
				conn.Close()
			}
		})
	}
	for range 20 {
		require.NoError(t, l.Restart(t.Context()))
		require.NotNil(t, tlsEvent(t, l.Events(), chanio.EventConnected).Session)
		l.DisconnectAll()
	}
	close(stop)
	sending.Wait()
	require.NoError(t, l.Close())
	await(t, handled, "the handlers")
	require.Zero(t, l.Len())
	require.Zero(t, l.Stats().Sessions)
	require.Zero(t, l.Known())
}

func TestAFailedRestartEndsAUDPListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), nil)
		why := errors.New("the address has gone")
		l.BeforeBind(func() error { return why })
		s := m.session(1, l)
		require.ErrorIs(t, l.Restart(t.Context()), why)
		<-l.Done()
		require.ErrorIs(t, l.Err(), why)
		require.ErrorIs(t, s.Err(), chanio.ErrClosed)
		require.True(t, isClosed(l.Sessions()))
	})
}

func TestARestartKeepsTheCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := memPeers(t, t.Context(), &chanio.Options{MaxHandshakes: 1})
		var next *memSocket
		l.RebindOver(t.Context(), func() net.PacketConn {
			next = newMemSocket()
			return next
		})
		m.from(1, "hello")
		m.from(2, "hello")
		require.EqualValues(t, 1, l.Stats().MessagesDropped)
		require.NoError(t, l.Restart(t.Context()))
		require.True(t, isClosed(m.closed))
		require.EqualValues(t, 1, l.Stats().MessagesDropped)
		next.from(1, "hello")
		next.from(2, "hello")
		require.EqualValues(t, 2, l.Stats().MessagesDropped)
		require.EqualValues(t, 2, l.Stats().MessagesReceived)
		require.EqualValues(t, 2, l.Stats().Accepted)
		require.EqualValues(t, 1, l.Stats().Sessions)
		require.Equal(t, peerAddress(1).String(), (<-l.Sessions()).RemoteAddr().String())
	})
}
