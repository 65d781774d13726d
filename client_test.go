package chanio

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// closedPort returns a tcp address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	return ln.Addr().String()
}

// failingDialer calls hook, which may wait, instead of connecting. Dialing an
// address in digits with it is a wait that synctest knows.
func failingDialer(hook func(ctx context.Context) error) *net.Dialer {
	return &net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		return hook(ctx)
	}}
}

// hang waits until the dialing is given up.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

const somewhere = "127.0.0.1:1"

func TestDialReachesEachKindOfListener(t *testing.T) {
	eachListener(t, func(t *testing.T, l *Listener) {
		handled := serveEach(l, echo)
		s, err := Dial(t.Context(), l.Addr().Network(), l.Addr().String(), nil)
		require.NoError(t, err)
		want := noise(1 << 20)
		go func() {
			for rest := want; len(rest) > 0; rest = rest[1<<16:] {
				assert.NoError(t, s.Put(rest[:1<<16]))
			}
			assert.NoError(t, s.CloseWrite())
		}()
		var got []byte
		for m := range s.Recv() {
			got = append(got, m...)
		}
		require.Equal(t, want, got)
		awaitDone(t, s)
		require.NoError(t, s.Err())
		require.NoError(t, l.Close())
		await(t, handled, "the handlers")
	})
}

func TestBadInputToDialIsAnErrorThatNamesIt(t *testing.T) {
	refused := closedPort(t)
	nobody := filepath.Join(t.TempDir(), "nobody")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct {
		name, network, address string
		ctx                    context.Context
		is                     error
		want                   []string
	}{
		{"no network", "", refused, t.Context(), nil, []string{"dial", "unknown network"}},
		{"an unknown network", "tcp5", refused, t.Context(), nil, []string{"dial", "tcp5"}},
		{"no address", "tcp", "", t.Context(), nil, []string{"dial", "missing address"}},
		{"no port", "tcp", "127.0.0.1", t.Context(), nil, []string{"dial", "127.0.0.1", "missing port"}},
		{"a bad port", "tcp", "127.0.0.1:99999", t.Context(), nil, []string{"dial", "99999"}},
		{"a peer that is not there", "tcp", refused, t.Context(), errRefused, []string{"dial", refused}},
		{"a socket that is not there", "unix", nobody, t.Context(), syscall.ENOENT, []string{"dial", nobody}},
		{"a context that has ended", "tcp", refused, ended, context.Canceled, []string{"dial", refused}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Dial(test.ctx, test.network, test.address, nil)
			if errors.Is(err, errNoFamily) {
				t.Skipf("no unix sockets here: %v", err)
			}
			require.Error(t, err)
			require.Nil(t, s)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.Regexp(t, "^chanio: ", err.Error())
			var op *net.OpError
			require.ErrorAs(t, err, &op)
		})
	}
}

func TestDialTimeoutBoundsTheDialing(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want time.Duration
	}{
		{"default", Options{}, 10 * time.Second},
		{"given", Options{DialTimeout: time.Minute}, time.Minute},
		{"the dialer's own", Options{Dialer: &net.Dialer{Timeout: time.Second}}, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := failingDialer(hang)
				if test.o.Dialer != nil {
					d.Timeout = test.o.Dialer.Timeout
				}
				test.o.Dialer = d
				start := time.Now()
				_, err := Dial(t.Context(), "tcp", somewhere, &test.o)
				require.Equal(t, test.want, since(start))
				require.ErrorIs(t, err, context.DeadlineExceeded)
				var ne net.Error
				require.ErrorAs(t, err, &ne)
				require.True(t, ne.Timeout())
				require.ErrorContains(t, err, somewhere)
			})
		})
	}
}

func TestTheContextOfDialIsTheSessionsLife(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	serveEach(l, echo)
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := Dial(ctx, "tcp", l.Addr().String(), &Options{DialTimeout: patience})
	require.NoError(t, err)
	require.NoError(t, s.Put([]byte("x")))
	await(t, s.Recv(), "the echo")
	require.NoError(t, s.Err(), "the end of the dialing is not its end")
	cancel(errTest)
	awaitDone(t, s)
	require.Equal(t, errTest, s.Err())
}

func TestConnectOfABadNetworkHasEndedWithThatErr(t *testing.T) {
	c := Connect(t.Context(), "tcp5", somewhere, nil)
	awaitDone(t, c)
	require.ErrorContains(t, c.Err(), "tcp5")
	requireClientAnswers(t, c)
}

// requireClientAnswers makes every call on c, which has ended.
func requireClientAnswers(t *testing.T, c *Client) {
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
	last := EventKind(0)
	for e := range c.Events() {
		last = e.Kind
	}
	if c.set.EventQueue > 0 {
		require.Equal(t, EventStopped, last)
	}
}

func TestConnectPacesItsTriesAndTellsOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan time.Time)
		c := Connect(t.Context(), "tcp", somewhere, &Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return errTest
			}),
			Backoff: Backoff{Min: 100 * time.Millisecond, Max: time.Second, Jitter: -1},
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
			if e.Kind == EventFailed {
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
		c := Connect(t.Context(), "tcp", somewhere, &Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return errTest
			}),
			Backoff: Backoff{Min: time.Second, Max: time.Second},
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
		c := Connect(t.Context(), "tcp", somewhere, &Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return errTest
			}),
			Backoff: Backoff{Min: time.Hour, Max: time.Hour, Jitter: -1},
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
		c := Connect(t.Context(), "tcp", somewhere, &Options{
			Dialer: failingDialer(func(ctx context.Context) error {
				tries <- struct{}{}
				return hang(ctx)
			}),
			DialTimeout: -1,
			Backoff:     Backoff{Min: time.Hour, Max: time.Hour},
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
			require.NotEqual(t, EventFailed, e.Kind, "a dial that was given up has not failed")
		}
	})
}

func TestReconnectDuringADialSkipsNoLaterPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := make(chan func() error)
		c := Connect(t.Context(), "tcp", somewhere, &Options{
			Dialer:  failingDialer(func(context.Context) error { return (<-tries)() }),
			Backoff: Backoff{Min: time.Hour, Max: time.Hour, Jitter: -1},
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
	var c *Client
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
	c = Connect(t.Context(), "tcp", ln.Addr().String(), &Options{Dialer: dialer, Backoff: Backoff{Min: time.Hour}})
	defer c.Close()
	close(begin)
	s, _ := await(t, c.Sessions(), "a session")
	s.Abort(errTest)
	awaitDone(t, s)
	require.Empty(t, c.redial, "or the next pause would be skipped")
}

func TestAServerThatHangsUpAtOnceIsNotDialedInALoop(t *testing.T) {
	b := Backoff{Min: -1}
	s, err := (&Options{Backoff: b}).resolve(false)
	require.NoError(t, err)
	require.False(t, s.Backoff.held(time.Millisecond, 0))
	require.True(t, s.Backoff.held(time.Second, 0))
}

func TestAClientEndsWhileItDials(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(c *Client, cancel context.CancelCauseFunc) error
		err  error
	}{
		{"Close", func(c *Client, _ context.CancelCauseFunc) error { return c.Close() }, nil},
		{"Shutdown", func(c *Client, _ context.CancelCauseFunc) error { return c.Shutdown(context.Background()) }, nil},
		{"the context", func(c *Client, cancel context.CancelCauseFunc) error { cancel(errTest); return nil }, errTest},
	} {
		for _, dialer := range []struct {
			name string
			hook func(context.Context) error
		}{{"in a try", hang}, {"between tries", func(context.Context) error { return errTest }}} {
			t.Run(test.name+"/"+dialer.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					c := Connect(ctx, "tcp", somewhere, &Options{Dialer: failingDialer(dialer.hook), Backoff: Backoff{Min: time.Hour}})
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
func clientOf(t *testing.T, o Options) (*Client, net.Listener) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	o.Backoff = Backoff{Min: time.Microsecond}
	c := Connect(context.Background(), "tcp", ln.Addr().String(), &o)
	t.Cleanup(func() { c.Close() })
	return c, ln
}

func TestConnectKeepsOneSessionUp(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			c, ln := clientOf(t, q.o)
			var last *Session
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
	c, ln := clientOf(t, Options{})
	for range 3 {
		peerOf(t, ln)
		s, _ := await(t, c.Sessions(), "a session")
		s.Abort(errTest)
	}
	peerOf(t, ln)
	await(t, c.Sessions(), "a session")
	require.NoError(t, c.Close())
	var kinds []EventKind
	var session *Session
	for e := range c.Events() {
		kinds = append(kinds, e.Kind)
		switch e.Kind {
		case EventConnected:
			session = e.Session
		case EventDisconnected:
			require.Same(t, session, e.Session)
			require.Error(t, e.Err)
		}
	}
	require.Equal(t, []EventKind{
		EventStarted,
		EventConnected, EventDisconnected,
		EventConnected, EventDisconnected,
		EventConnected, EventDisconnected,
		EventConnected, EventDisconnected,
		EventStopped,
	}, kinds)
}

func TestReconnectClosesTheSessionInOrderAndDialsAtOnce(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	c := Connect(t.Context(), "tcp", ln.Addr().String(), &Options{Backoff: Backoff{Min: time.Hour, Max: time.Hour}})
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

func TestASessionThatNobodyReceivesRunsOnAndIsReplaced(t *testing.T) {
	c, ln := clientOf(t, Options{})
	first := peerOf(t, ln)
	require.NoError(t, first.(*net.TCPConn).SetLinger(0))
	first.Close()
	second := peerOf(t, ln)
	s, _ := await(t, c.Sessions(), "a session")
	require.Equal(t, second.LocalAddr().String(), s.RemoteAddr().String())
	_, err := second.Write([]byte("second"))
	require.NoError(t, err)
	m, _ := await(t, s.Recv(), "a message")
	require.Equal(t, "second", string(m))
}

func TestShutdownOfAClientLetsTheHandlerFinish(t *testing.T) {
	c, ln := clientOf(t, Options{})
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
	c, ln := clientOf(t, Options{CloseTimeout: patience})
	peer := peerOf(t, ln)
	for e := range c.Events() {
		if e.Kind == EventConnected {
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
	c, ln := clientOf(t, Options{CloseTimeout: patience})
	peerOf(t, ln)
	s, _ := await(t, c.Sessions(), "a session")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, context.Canceled, c.Shutdown(ctx))
	require.True(t, isClosed(s.Done()))
	require.ErrorIs(t, s.Err(), ErrClosed)
	require.NoError(t, c.Err())
}

func TestTheEndOfAClientsContextIsTheCauseOfItsSession(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for _, received := range []bool{true, false} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := Connect(ctx, "tcp", ln.Addr().String(), nil)
		peer := peerOf(t, ln)
		if received {
			await(t, c.Sessions(), "a session")
		}
		var s *Session
		for e := range c.Events() {
			if e.Kind == EventConnected {
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

func TestBackoffStartsAnewAfterAConnectionThatHeld(t *testing.T) {
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
		c := Connect(t.Context(), "unix", path, &Options{
			Dialer: failingDialer(func(context.Context) error {
				tries <- time.Now()
				return <-fail
			}),
			Backoff:   Backoff{Min: 100 * time.Millisecond, Jitter: -1},
			RecvQueue: -1,
		})
		next := func() (pause time.Duration) {
			start := time.Now()
			return (<-tries).Sub(start)
		}
		connect := func(hold time.Duration) {
			fail <- nil
			s := <-c.Sessions()
			// The reader holds a message that nobody receives: it waits for no
			// socket, and time passes.
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
	handled := serveEach(l, echo)
	for range 50 {
		c := Connect(t.Context(), "tcp", l.Addr().String(), &Options{Backoff: Backoff{Min: time.Microsecond}})
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
