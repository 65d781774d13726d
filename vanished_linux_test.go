package chanio_test

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

// The link between two hosts goes down, and neither is told. Keep-alive is off,
// so only the session's options can end it.
func TestAPeerBehindADownLinkIsDetectedByWriteTimeoutOrPing(t *testing.T) {
	alone := &net.KeepAliveConfig{Enable: false}
	for _, test := range []struct {
		name  string
		o     chanio.Options
		write bool // the session has something to send; else it is idle
		bound time.Duration
	}{
		{"WriteTimeout", chanio.Options{WriteTimeout: 2 * time.Second}, true, 2 * time.Second},
		{"PingTimeout", chanio.Options{
			Framing: chanio.Lines{}, Ping: []byte("ping"), PingInterval: 2 * time.Second, PingTimeout: time.Second, WriteTimeout: -1,
		}, false, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			there := netns.Veth(t)
			test.o.KeepAlive = alone
			l := listenOn(t, t.Context(), "tcp4", "10.7.7.1:0", &test.o)
			var peer net.Conn
			there(func() { peer = dialThere(t, l.Addr()) })
			defer peer.Close()
			go io.Copy(peer, peer) // answers pings as long as any arrive
			s, _ := await(t, l.Sessions(), "the session")
			alive := time.Now()
			require.NoError(t, s.Put([]byte("hello")))
			await(t, s.Recv(), "the answer")
			go func() { // without a receiver, silence is not the peer's
				for range s.Recv() {
				}
			}()
			there(func() { linkDown(t) })
			down, late := time.Now(), lateness(t)
			if test.write {
				go func() { // ends with the session
					for s.Put(make([]byte, 1000)) == nil {
					}
				}()
			}
			awaitDone(t, s)
			require.ErrorIs(t, s.Err(), os.ErrDeadlineExceeded)
			took := time.Since(down) - late()
			require.ErrorContains(t, s.Err(), test.name)
			require.GreaterOrEqual(t, time.Since(alive), test.bound)
			require.Less(t, took, test.bound+3*time.Second/4, "WriteTimeout is noticed an eighth of it later")
			t.Logf("%s of %v has found it after %v", test.name, test.bound, took.Round(time.Millisecond))
		})
	}
}

// lateness returns what tells by how much the timers of this process have been
// late since, all in all.
func lateness(t *testing.T) func() time.Duration {
	const often = 10 * time.Millisecond
	var mu sync.Mutex
	var late time.Duration
	last := time.Now()
	look := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		if gap := time.Since(last); gap > 2*often {
			late += gap - often
		}
		last = time.Now()
		return late
	}
	tick := time.NewTicker(often)
	t.Cleanup(tick.Stop)
	go func() {
		for {
			select {
			case <-tick.C:
				look()
			case <-t.Context().Done():
				return
			}
		}
	}()
	return look
}

// A client whose network is dead finds out, tries again, and is back when the
// network is.
func TestAClientRedialsUntilItsLinkIsUp(t *testing.T) {
	there := netns.Veth(t)
	l := listenOn(t, t.Context(), "tcp4", "10.7.7.1:0", &chanio.Options{Framing: chanio.Lines{}})
	serveEach(l, sendBack)
	o := &chanio.Options{
		Framing: chanio.Lines{}, Ping: []byte("ping"), PingInterval: 2 * time.Second,
		DialTimeout: 300 * time.Millisecond, Backoff: chanio.Backoff{Max: 100 * time.Millisecond},
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			there(func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) })
			return conn, err
		},
	}
	c := chanio.Connect(t.Context(), "tcp4", l.Addr().String(), o)
	first, _ := await(t, c.Sessions(), "a session")
	requireTalks(t, first)

	down := time.Now()
	there(func() { linkDown(t) })
	go func() { // without a receiver, the end is not reported either
		for range first.Recv() {
		}
	}()
	awaitDone(t, first)
	require.ErrorIs(t, first.Err(), os.ErrDeadlineExceeded)
	require.ErrorContains(t, first.Err(), "PingTimeout")
	t.Logf("found after %v", time.Since(down).Round(time.Millisecond))
	for tlsEvent(t, c.Events(), chanio.EventDisconnected).Session != first {
	}
	tlsEvent(t, c.Events(), chanio.EventFailed) // a try after that

	there(func() { require.NoError(t, netns.Run("ip link set v0 up")) })
	up := time.Now()
	next, _ := await(t, c.Sessions(), "another session")
	requireTalks(t, next)
	t.Logf("back after %v", time.Since(up).Round(time.Millisecond))
	require.NoError(t, c.Close())
}

// requireTalks requires an answer, which may come after answers to pings.
func requireTalks(t *testing.T, s *chanio.Session) {
	t.Helper()
	require.NoError(t, s.Put([]byte("hello")))
	for {
		m, ok := await(t, s.Recv(), "the answer")
		require.True(t, ok, s.Err())
		if string(m) == "hello" {
			return
		}
	}
}

// dialThere connects from the namespace of the calling goroutine.
func dialThere(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp4", to.String(), patience)
	if err != nil {
		t.Error(err)
	}
	return conn
}

func linkDown(t *testing.T) {
	t.Helper()
	if err := netns.Run("ip link set v0 down"); err != nil {
		t.Error(err)
	}
}
