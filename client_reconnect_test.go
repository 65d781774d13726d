package chanio_test

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestConnectPacesItsAttemptsAndReportsEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan time.Time)
		c := chanio.Connect(t.Context(), "tcp", somewhere, &chanio.Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return errTest
			}),
			Backoff: chanio.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Jitter: -1},
		})
		last := <-tries
		for _, want := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
			try := <-tries
			require.Equal(t, want*time.Millisecond, try.Sub(last))
			last = try
		}
		require.NoError(t, c.Err(), "it goes on")
		synctest.Wait()
		require.NoError(t, c.Close())
		failed := 0
		for e := range c.Events() {
			if e.Kind == chanio.EventFailed {
				failed++
				require.ErrorIs(t, e.Err, errTest)
				require.ErrorContains(t, e.Err, somewhere)
			}
		}
		require.Equal(t, 7, failed)
	})
}

func TestTheJitterKeepsClientsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan time.Time)
		c := chanio.Connect(t.Context(), "tcp", somewhere, &chanio.Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return errTest
			}),
			Backoff: chanio.Backoff{Min: time.Second, Max: time.Second},
		})
		last := <-tries
		pauses := make(map[time.Duration]bool)
		for range 20 {
			try := <-tries
			pause := try.Sub(last)
			require.LessOrEqual(t, pause, time.Second)
			require.GreaterOrEqual(t, pause, 800*time.Millisecond)
			pauses[pause] = true
			last = try
		}
		require.Greater(t, len(pauses), 1)
		synctest.Wait()
		require.NoError(t, c.Close())
	})
}

func TestReconnectDoesNotWaitForTheNextTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan time.Time)
		c := chanio.Connect(t.Context(), "tcp", somewhere, &chanio.Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return errTest
			}),
			Backoff: chanio.Backoff{Min: time.Hour, Max: time.Hour, Jitter: -1},
		})
		last := <-tries
		for range 5 {
			synctest.Wait() // it waits for an hour
			for range 3 {
				c.Reconnect() // three at once are one
			}
			require.Equal(t, last, <-tries)
		}
		require.Equal(t, time.Hour, (<-tries).Sub(last))
		synctest.Wait()
		require.NoError(t, c.Close())
	})
}

func TestReconnectGivesUpADialThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan struct{})
		c := chanio.Connect(t.Context(), "tcp", somewhere, &chanio.Options{
			Dialer: failingDialer(func(ctx context.Context) error {
				tries <- struct{}{}
				return hang(ctx)
			}),
			DialTimeout: -1,
			Backoff:     chanio.Backoff{Min: time.Hour, Max: time.Hour},
		})
		start := time.Now()
		for range 5 {
			<-tries
			synctest.Wait()
			c.Reconnect()
		}
		<-tries
		require.Equal(t, start, time.Now())
		require.NoError(t, c.Close())
		for e := range c.Events() {
			require.NotEqual(t, chanio.EventFailed, e.Kind, "a dial that was given up has not failed")
		}
	})
}

func TestReconnectDuringADialSkipsNoLaterPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan func() error)
		c := chanio.Connect(t.Context(), "tcp", somewhere, &chanio.Options{
			Dialer:  failingDialer(func(context.Context) error { return (<-tries)() }),
			Backoff: chanio.Backoff{Min: time.Hour, Max: time.Hour, Jitter: -1},
		})
		fail := func() error { return errTest }
		start := time.Now()
		tries <- func() error { c.Reconnect(); return errTest }
		tries <- fail // at once: Reconnect asked for it
		require.Equal(t, start, time.Now())
		tries <- fail
		require.Equal(t, time.Hour, time.Since(start))
		synctest.Wait()
		require.NoError(t, c.Close())
	})
}

func TestReconnectDuringADialThatSucceedsDialsAgain(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	var c *chanio.Client
	dials := make(chan struct{}, 2)
	begin := make(chan struct{})
	dialer := &net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error {
		<-begin
		if len(dials) == 0 {
			dials <- struct{}{}
			c.Reconnect() // before the dial has a connection, or an error
		}
		return nil
	}}
	c = chanio.Connect(t.Context(), "tcp", ln.Addr().String(), &chanio.Options{Dialer: dialer, Backoff: chanio.Backoff{Min: time.Hour}})
	defer c.Close()
	close(begin)
	s, _ := await(t, c.Sessions(), "a session")
	s.Abort(errTest)
	awaitDone(t, s)
	require.Zero(t, c.Redials(), "or the next pause would be skipped")
}

func TestAServerThatHangsUpAtOnceIsNotDialedInALoop(t *testing.T) {
	b := chanio.Backoff{Min: -1}
	s, err := (&chanio.Options{Backoff: b}).Resolve(false)
	require.NoError(t, err)
	require.False(t, s.Backoff.Held(time.Millisecond, 0))
	require.True(t, s.Backoff.Held(time.Second, 0))
}

func TestReconnectClosesTheSessionCleanlyAndDialsAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	c := chanio.Connect(t.Context(), "tcp", ln.Addr().String(), &chanio.Options{Backoff: chanio.Backoff{Min: time.Hour, Max: time.Hour}})
	defer c.Close()
	for range 3 {
		peer := peerOf(t, ln)
		s, _ := await(t, c.Sessions(), "a session")
		require.NoError(t, s.Put([]byte("last words")))
		c.Reconnect()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, "last words", string(got))
		peer.Close()
		awaitDone(t, s)
		require.NoError(t, s.Err())
	}
	peerOf(t, ln)
	await(t, c.Sessions(), "a session")
}

func TestBackoffResetsAfterAConnectionThatHeld(t *testing.T) {
	// The server is outside the bubble: that way its socket never waits inside.
	path := unixPath(t)
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	var server sync.WaitGroup
	server.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte("x"))
			conn.Close()
		}
	})
	defer server.Wait()
	defer ln.Close()

	synctest.Test(t, func(t *testing.T) {
		tries := make(chan time.Time)
		fail := make(chan error)
		c := chanio.Connect(t.Context(), "unix", path, &chanio.Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return <-fail
			}),
			Backoff:   chanio.Backoff{Min: 100 * time.Millisecond, Jitter: -1},
			RecvQueue: -1,
		})
		next := func() (pause time.Duration) {
			start := time.Now()
			return (<-tries).Sub(start)
		}
		connect := func(hold time.Duration) {
			fail <- nil
			s := <-c.Sessions()
			// The reader holds a message that is never received. It waits for no
			// socket, so time passes.
			<-time.After(hold)
			<-s.Recv()
			s.Abort(nil)
			<-s.Done()
		}
		next()
		fail <- errTest
		require.Equal(t, 100*time.Millisecond, next())
		fail <- errTest
		require.Equal(t, 200*time.Millisecond, next())
		connect(200 * time.Millisecond) // not longer than the pause before it
		require.Equal(t, 400*time.Millisecond, next())
		connect(401 * time.Millisecond)
		require.Equal(t, 100*time.Millisecond, next())
		connect(101 * time.Millisecond)
		require.Equal(t, 100*time.Millisecond, next())
		fail <- errTest
		require.Equal(t, 200*time.Millisecond, next())
		fail <- errTest
		synctest.Wait()
		require.NoError(t, c.Close())
	})
}

func TestReconnectCloseAndShutdownOfAClientAtTheSameTime(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	handled := serveEach(l, sendBack)
	for range 50 {
		c := chanio.Connect(t.Context(), "tcp", l.Addr().String(), &chanio.Options{Backoff: chanio.Backoff{Min: time.Microsecond}})
		var wg sync.WaitGroup
		wg.Go(func() {
			for s := range c.Sessions() {
				s.Put([]byte("x"))
			}
		})
		for range 3 {
			wg.Go(func() {
				for range 5 {
					c.Reconnect()
				}
			})
		}
		wg.Go(func() { c.Close() })
		wg.Go(func() {
			if err := c.Shutdown(context.Background()); err != nil {
				assert.ErrorIs(t, err, context.Canceled)
			}
		})
		wg.Wait()
		require.True(t, isClosed(c.Done()))
		require.NoError(t, c.Err())
		require.Zero(t, c.Stats().Sessions)
	}
	require.NoError(t, l.Close())
	await(t, handled, "the handlers")
}
