package chanio_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestConnectOfABadNetworkHasEndedWithThatErr(t *testing.T) {
	c := chanio.Connect(t.Context(), "tcp5", somewhere, nil)
	awaitDone(t, c)
	require.ErrorContains(t, c.Err(), "tcp5")
	requireClientAnswers(t, c)
}

// requireClientAnswers makes every call on c, which has ended.
func requireClientAnswers(t *testing.T, c *chanio.Client) {
	t.Helper()
	err := c.Err()
	for range 2 {
		require.NoError(t, c.Close())
		require.NoError(t, c.Shutdown(context.Background()))
		c.Reconnect()
		_, ok := await(t, c.Sessions(), "Sessions")
		require.False(t, ok)
		require.Zero(t, c.Stats().Sessions)
		require.Equal(t, err, c.Err())
	}
	last := chanio.EventKind(0)
	for e := range c.Events() {
		last = e.Kind
	}
	if c.Settings().EventQueue > 0 {
		require.Equal(t, chanio.EventStopped, last)
	}
}

func TestAClientCanEndWhileDialing(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *chanio.Client, cancel context.CancelCauseFunc) error
		err  error
	}{
		{"Close", func(c *chanio.Client, _ context.CancelCauseFunc) error { return c.Close() }, nil},
		{"Shutdown", func(c *chanio.Client, _ context.CancelCauseFunc) error { return c.Shutdown(context.Background()) }, nil},
		{"the context", func(c *chanio.Client, cancel context.CancelCauseFunc) error { cancel(errTest); return nil }, errTest},
	} {
		for _, dialer := range []struct {
			name string
			hook func(context.Context) error
		}{{"in a try", hang}, {"between tries", func(context.Context) error { return errTest }}} {
			t.Run(test.name+"/"+dialer.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					c := chanio.Connect(ctx, "tcp", somewhere, &chanio.Options{Dialer: failingDialer(dialer.hook), Backoff: chanio.Backoff{Min: time.Hour}})
					synctest.Wait()
					start := time.Now()
					require.NoError(t, test.end(c, cancel))
					_, ok := <-c.Sessions()
					require.False(t, ok)
					requireErr(t, test.err, c.Err(), "Err is set before Sessions is closed")
					<-c.Done()
					require.Zero(t, since(start))
					requireClientAnswers(t, c)
				})
			})
		}
	}
}

// peerOf accepts the next connection.
func peerOf(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	require.NoError(t, ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	conn, err := ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// clientOf connects a client that tries again at once, for the rest of the test.
func clientOf(t *testing.T, o chanio.Options) (*chanio.Client, net.Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	o.Backoff = chanio.Backoff{Min: time.Microsecond}
	c := chanio.Connect(context.Background(), "tcp", ln.Addr().String(), &o)
	t.Cleanup(func() { c.Close() })
	return c, ln
}

func TestConnectKeepsOneSessionUp(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			c, ln := clientOf(t, q.o)
			var last *chanio.Session
			for range 5 {
				peer := peerOf(t, ln)
				s, _ := await(t, c.Sessions(), "a session")
				if last != nil {
					require.True(t, isClosed(last.Done()), "the one before is Done")
				}
				require.EqualValues(t, 1, c.Stats().Sessions)
				_, err := peer.Write([]byte("hello"))
				require.NoError(t, err)
				m, _ := await(t, s.Recv(), "a message")
				require.Equal(t, "hello", string(m))
				peer.Close()
				await(t, s.Recv(), "the end of Recv")
				require.NoError(t, s.Close())
				last = s
			}
			require.NoError(t, c.Close())
			require.GreaterOrEqual(t, c.Stats().Accepted, int64(5))
			require.EqualValues(t, 25, c.Stats().BytesReceived)
			requireClientAnswers(t, c)
		})
	}
}

func TestEventsOfAClientComeInOrder(t *testing.T) {
	c, ln := clientOf(t, chanio.Options{})
	for range 3 {
		peerOf(t, ln)
		s, _ := await(t, c.Sessions(), "a session")
		s.Abort(errTest)
	}
	peerOf(t, ln)
	await(t, c.Sessions(), "a session")
	require.NoError(t, c.Close())
	var kinds []chanio.EventKind
	var session *chanio.Session
	for e := range c.Events() {
		kinds = append(kinds, e.Kind)
		switch e.Kind {
		case chanio.EventConnected:
			session = e.Session
		case chanio.EventDisconnected:
			require.Same(t, session, e.Session)
			require.Error(t, e.Err)
		}
	}
	require.Equal(t, []chanio.EventKind{
		chanio.EventStarted,
		chanio.EventConnected, chanio.EventDisconnected,
		chanio.EventConnected, chanio.EventDisconnected,
		chanio.EventConnected, chanio.EventDisconnected,
		chanio.EventConnected, chanio.EventDisconnected,
		chanio.EventStopped,
	}, kinds)
}

func TestASessionThatNobodyReceivesRunsOnAndIsReplaced(t *testing.T) {
	c, ln := clientOf(t, chanio.Options{})
	first := peerOf(t, ln)
	require.NoError(t, first.(*net.TCPConn).SetLinger(0))
	first.Close()
	second := peerOf(t, ln)
	s, _ := await(t, c.Sessions(), "a session")
	require.Equal(t, second.RemoteAddr().String(), s.LocalAddr().String())
	_, err := second.Write([]byte("second"))
	require.NoError(t, err)
	m, _ := await(t, s.Recv(), "a message")
	require.Equal(t, "second", string(m))
}

func TestShutdownOfAClientLetsTheHandlerFinish(t *testing.T) {
	c, ln := clientOf(t, chanio.Options{})
	peer := peerOf(t, ln)
	s, _ := await(t, c.Sessions(), "a session")
	handled := make(chan struct{})
	go func() {
		defer close(handled)
		defer s.Close()
		for range s.Recv() {
		}
		assert.NoError(t, s.Put([]byte("bye")))
	}()
	go func() {
		io.Copy(io.Discard, peer)
		peer.Close()
	}()
	require.NoError(t, c.Shutdown(t.Context()))
	await(t, handled, "the handler")
	require.NoError(t, s.Err())
	require.EqualValues(t, 3, s.Stats().BytesSent)
	requireClientAnswers(t, c)
}

func TestShutdownOfAClientDropsWhatNobodyReceived(t *testing.T) {
	c, ln := clientOf(t, chanio.Options{CloseTimeout: patience})
	peer := peerOf(t, ln)
	for e := range c.Events() {
		if e.Kind == chanio.EventConnected {
			break
		}
	}
	result := make(chan error, 1)
	go func() { result <- c.Shutdown(context.Background()) }()
	_, err := peer.Read(make([]byte, 1))
	require.ErrorIs(t, err, errReset)
	err, _ = await(t, result, "Shutdown")
	require.NoError(t, err)
}

func TestShutdownOfAClientWithAContextThatEndsAborts(t *testing.T) {
	c, ln := clientOf(t, chanio.Options{CloseTimeout: patience})
	peerOf(t, ln)
	s, _ := await(t, c.Sessions(), "a session")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, context.Canceled, c.Shutdown(ctx))
	require.True(t, isClosed(s.Done()))
	require.ErrorIs(t, s.Err(), chanio.ErrClosed)
	require.NoError(t, c.Err())
}

func TestTheEndOfAClientsContextIsTheCauseOfItsSession(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for _, received := range []bool{true, false} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := chanio.Connect(ctx, "tcp", ln.Addr().String(), nil)
		peer := peerOf(t, ln)
		if received {
			await(t, c.Sessions(), "a session")
		}
		var s *chanio.Session
		for e := range c.Events() {
			if e.Kind == chanio.EventConnected {
				s = e.Session
				break
			}
		}
		cancel(errTest)
		awaitDone(t, c)
		require.Equal(t, errTest, c.Err())
		require.Equal(t, errTest, s.Err())
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "without a reset")
		requireClientAnswers(t, c)
	}
}

func TestTheEndOfAClientsContextIsNoFailedDial(t *testing.T) {
	for range 100 { // what ends the client and what ends its dial are two goroutines
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c := chanio.Connect(ctx, "tcp", somewhere, &chanio.Options{Dialer: failingDialer(hang)})
			synctest.Wait()
			cancel()
			<-c.Done()
			require.Equal(t, []chanio.EventKind{chanio.EventStarted, chanio.EventStopped}, kindsUntil(t, c.Events(), chanio.EventStopped))
		})
	}
}
