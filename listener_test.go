package chanio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveMem serves connections in memory until the test is over.
func serveMem(t *testing.T, o *Options) (*Listener, *memListener) {
	ln := newMemListener()
	l := Serve(context.Background(), ln, o)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, ln
}

// serveEach runs handler for each session of l, and returns what is closed when
// l has stopped and they have all returned.
func serveEach(l *Listener, handler func(*Session)) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for s := range l.Sessions() {
			wg.Go(func() { handler(s) })
		}
		wg.Wait()
	}()
	return done
}

// portableListener hides the descriptors of what it accepts.
type portableListener struct{ net.Listener }

func (l portableListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return hide(conn), nil
}

// listeners are the ways to listen on real sockets.
var listeners = []struct {
	name   string
	listen func(t *testing.T, ctx context.Context, o *Options) *Listener
}{
	{"tcp", func(t *testing.T, ctx context.Context, o *Options) *Listener {
		return listenOn(t, ctx, "tcp", "127.0.0.1:0", o)
	}},
	{"unix", func(t *testing.T, ctx context.Context, o *Options) *Listener {
		return listenOn(t, ctx, "unix", unixPath(t), o)
	}},
	{"portable", func(t *testing.T, ctx context.Context, o *Options) *Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return Serve(ctx, portableListener{ln}, o)
	}},
}

// listenOn listens until the test is over.
func listenOn(t *testing.T, ctx context.Context, network, address string, o *Options) *Listener {
	t.Helper()
	l, err := Listen(ctx, network, address, o)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// connectTo connects to l with an ordinary connection, for the rest of the test.
func connectTo(t testing.TB, l *Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// eachListener runs f for every way to listen and every length of queues.
func eachListener(t *testing.T, f func(t *testing.T, l *Listener)) {
	for _, way := range listeners {
		for _, q := range queues {
			t.Run(way.name+"/"+q.name, func(t *testing.T) {
				l := way.listen(t, t.Context(), &q.o)
				f(t, l)
				require.NoError(t, l.Close())
			})
		}
	}
}

func TestHelloAndAHalfCloseComeBack(t *testing.T) {
	eachListener(t, func(t *testing.T, l *Listener) {
		handled := serveEach(l, echo)
		conn := connectTo(t, l)
		_, err := conn.Write([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, conn.(halfCloser).CloseWrite())
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Equal(t, "hello", string(got))
		require.NoError(t, l.Shutdown(t.Context()))
		await(t, handled, "the handlers")
	})
}

func TestListenOnEachNetwork(t *testing.T) {
	for _, test := range []struct{ network, address, want string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1"},
		{"tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"tcp6", "[::1]:0", "::1"},
		{"unix", "", ""},
	} {
		t.Run(test.network, func(t *testing.T) {
			if test.network == "unix" {
				test.address = unixPath(t)
			}
			l, err := Listen(t.Context(), test.network, test.address, nil)
			if errors.Is(err, errNoAddress) || errors.Is(err, errNoFamily) {
				t.Skip(err)
			}
			require.NoError(t, err)
			defer l.Close()
			serveEach(l, echo)
			if tcp, ok := l.Addr().(*net.TCPAddr); ok {
				require.Equal(t, test.want, tcp.IP.String())
				require.NotZero(t, tcp.Port)
			} else {
				require.Equal(t, test.address, l.Addr().String())
			}
			s, err := Dial(t.Context(), test.network, l.Addr().String(), nil)
			require.NoError(t, err)
			require.Equal(t, l.Addr().String(), s.RemoteAddr().String())
			require.NoError(t, s.Put([]byte("hello")))
			m, _ := await(t, s.Recv(), "the echo")
			require.Equal(t, "hello", string(m))
			require.NoError(t, s.Close())
		})
	}
}

func TestBadInputToListenIsAnErrorThatNamesIt(t *testing.T) {
	used := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil).Addr().String()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("precious"), 0o600))
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errTest)
	for _, test := range []struct {
		name, network, address string
		ctx                    context.Context
		want                   []string
	}{
		{"no network", "", "127.0.0.1:0", t.Context(), []string{"listen", "unknown network"}},
		{"an unknown network", "tcp5", "127.0.0.1:0", t.Context(), []string{"listen", "tcp5"}},
		{"a network that is not ours", "unixpacket", "x", t.Context(), []string{"listen", "unixpacket"}},
		{"no port", "tcp", "127.0.0.1", t.Context(), []string{"listen", "127.0.0.1", "missing port"}},
		{"a bad port", "tcp", "127.0.0.1:99999", t.Context(), []string{"listen", "99999"}},
		{"an address of the other family", "tcp6", "127.0.0.1:0", t.Context(), []string{"listen", "127.0.0.1"}},
		{"a port in use", "tcp", used, t.Context(), []string{"listen", used, errAddressInUse.Error()}},
		{"an address of another host", "tcp", "192.0.2.1:0", t.Context(), []string{"listen", "192.0.2.1:0"}},
		{"a path that is a file", "unix", file, t.Context(), []string{"listen", file, errAddressInUse.Error()}},
		{"a path that does not exist", "unix", "/nowhere/at/all", t.Context(), []string{"listen", "/nowhere/at/all"}},
		{"a context that has ended", "tcp", "127.0.0.1:0", ended, []string{"listen", errTest.Error()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, err := Listen(test.ctx, test.network, test.address, nil)
			if errors.Is(err, errNoFamily) {
				t.Skipf("no unix sockets here: %v", err)
			}
			require.Error(t, err)
			require.Nil(t, l)
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.Regexp(t, "^chanio: ", err.Error())
			var op *net.OpError
			require.ErrorAs(t, err, &op)
		})
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "precious", string(kept))
}

func TestServeOfANilListenerHasEndedWithThatErr(t *testing.T) {
	l := Serve(t.Context(), nil, nil)
	awaitDone(t, l)
	require.ErrorContains(t, l.Err(), "chanio: Serve of a nil net.Listener")
	_, ok := await(t, l.Sessions(), "Sessions")
	require.False(t, ok)
	for e := range l.Events() {
		require.Contains(t, []EventKind{EventStarted, EventStopped}, e.Kind)
	}
	require.NotNil(t, l.Addr())
	require.Zero(t, l.Len())
	require.NoError(t, l.Shutdown(t.Context()))
	require.NoError(t, l.Close())
	require.Error(t, l.Restart(t.Context()))
	l.DisconnectAll()
}

func TestServeOfAListenerWithoutAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := nowhere{newMemListener()}
		l := Serve(t.Context(), ln, nil)
		ln.dial()
		require.NotNil(t, <-l.Sessions())
		ln.errs <- acceptErrors[0]
		require.Error(t, l.Restart(t.Context()))
		ln.errs <- errTest
		<-l.Done()
		require.ErrorIs(t, l.Err(), errTest)
		require.NotNil(t, l.Addr())
	})
}

// nowhere is a listener that has no address.
type nowhere struct{ *memListener }

func (nowhere) Addr() net.Addr { return nil }

func TestAStaleUnixSocketFileIsReplacedAndOneInUseIsAnError(t *testing.T) {
	path := unixPath(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	stale.SetUnlinkOnClose(false)
	require.NoError(t, stale.Close())
	require.FileExists(t, path)

	l := listenOn(t, t.Context(), "unix", path, nil)
	serveEach(l, echo)
	_, err = Listen(t.Context(), "unix", path, nil)
	require.ErrorIs(t, err, errAddressInUse)
	conn := connectTo(t, l) // the one in use was not harmed
	_, err = conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)

	require.NoError(t, l.Close())
	require.NoFileExists(t, path)
}

func TestADatagramSocketFileIsNoStaleOne(t *testing.T) {
	path := unixPath(t)
	other, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer other.Close()
	_, err = Listen(t.Context(), "unix", path, nil)
	require.ErrorIs(t, err, errAddressInUse)
	require.FileExists(t, path)
}

func TestSessionsThatNobodyReceivesPauseTheAcceptingAndNothingElse(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		first := ln.dial()
		s := <-l.Sessions()
		ln.dial() // accepted, and held until somebody receives
		var third atomic.Bool
		go func() {
			if ln.dial() != nil {
				third.Store(true)
			}
		}()
		<-time.After(time.Hour)
		require.False(t, third.Load())
		require.Equal(t, 2, l.Len())

		go echo(s)
		go first.Write([]byte("x"))
		_, err := io.ReadFull(first, make([]byte, 1))
		require.NoError(t, err, "a session that runs never pauses")

		<-l.Sessions()
		<-l.Sessions()
		synctest.Wait()
		require.True(t, third.Load())
	})
}

func TestASessionWhosePeerHasGoneIsStillDeliveredWithItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		peer := ln.dial()
		_, err := peer.Write([]byte("last words"))
		require.NoError(t, err)
		peer.Close()
		<-time.After(time.Hour) // long past CloseTimeout
		s := <-l.Sessions()
		require.Equal(t, "last words", string(<-s.Recv()))
		<-s.Done()
	})
}

// listenerEnds are the ways in which a listener ends.
var listenerEnds = []struct {
	name    string
	end     func(l *Listener, ln *memListener, cancel context.CancelCauseFunc)
	err     error // the listener's
	session error // its sessions'; nil if they end in order
}{
	{"Close", func(l *Listener, _ *memListener, _ context.CancelCauseFunc) { l.Close() }, nil, ErrClosed},
	{"Shutdown", func(l *Listener, _ *memListener, _ context.CancelCauseFunc) { l.Shutdown(context.Background()) }, nil, nil},
	{"the context", func(_ *Listener, _ *memListener, cancel context.CancelCauseFunc) { cancel(errTest) }, errTest, errTest},
	{"a failed accept", func(_ *Listener, ln *memListener, _ context.CancelCauseFunc) { ln.errs <- errTest }, errTest, ErrClosed},
}

func TestAfterEachKindOfEndOfAListenerNothingIsLeft(t *testing.T) {
	for _, end := range listenerEnds {
		t.Run(end.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o Options) {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				ln := newMemListener()
				l := Serve(ctx, ln, &o)
				require.NoError(t, l.Err())
				var all []*Session
				for range 3 {
					peer := ln.dial()
					go io.Copy(io.Discard, peer)
					s := <-l.Sessions()
					all = append(all, s)
					go echo(s)
				}
				var undelivered *memConn
				if end.name != "a failed accept" { // that needs an Accept that waits
					undelivered = ln.dial()
				}
				synctest.Wait()
				for s := range l.All() {
					if !slices.Contains(all, s) {
						all = append(all, s)
					}
				}

				go end.end(l, ln, cancel)
				synctest.Wait()
				_, ok := <-l.Sessions()
				require.False(t, ok, "Sessions is closed")
				requireErr(t, end.err, l.Err(), "Err is set before")
				<-l.Done()
				for i, s := range all {
					require.True(t, isClosed(s.Done()))
					if i == 3 && end.session == nil {
						require.ErrorIs(t, s.Err(), ErrClosed, "what nobody received is dropped")
					} else {
						requireErr(t, end.session, s.Err(), "a session's Err")
					}
					_, ok := l.Session(s.ID())
					require.False(t, ok)
				}
				if undelivered != nil {
					_, err := undelivered.Read(make([]byte, 1))
					require.ErrorIs(t, err, io.EOF)
				}
				require.Nil(t, ln.dial(), "the net.Listener is closed")
				requireListenerAnswers(t, l)
			})
		})
	}
}

func requireErr(t *testing.T, want, got error, what string) {
	t.Helper()
	if want == nil {
		require.NoError(t, got, what)
	} else {
		require.ErrorIs(t, got, want, what)
	}
}

// requireListenerAnswers makes every call on l, which has ended.
func requireListenerAnswers(t *testing.T, l *Listener) {
	t.Helper()
	err := l.Err()
	for range 2 {
		require.NoError(t, l.Close())
		require.NoError(t, l.Shutdown(context.Background()))
		require.Error(t, l.Restart(context.Background()))
		l.DisconnectAll()
		require.Zero(t, l.Len())
		for range l.All() {
			require.Fail(t, "no session is left")
		}
		require.Zero(t, l.Stats().Sessions)
		_, ok := l.Session(1 << 60)
		require.False(t, ok)
		require.NotNil(t, l.Addr())
		require.Equal(t, err, l.Err())
	}
	stopped := false
	for e := range l.Events() {
		stopped = e.Kind == EventStopped
	}
	require.Equal(t, l.set.EventQueue > 0, stopped, "EventStopped is the last")
}

func TestAShutdownListenerWithAnExpiredContextAborts(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		ln.dial()
		s := <-l.Sessions()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, l.Shutdown(ctx))
		require.Equal(t, time.Second, since(start), "whatever CloseTimeout says")
		require.True(t, isClosed(l.Done()))
		require.ErrorIs(t, s.Err(), ErrClosed)
		require.NoError(t, l.Err())
		require.NoError(t, l.Shutdown(ctx), "all is gone already")
	})
}

func TestShutdownWithAContextThatHasEndedReturnsAtOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		ln.dial()
		s := <-l.Sessions()
		fill(t, s)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		start := time.Now()
		require.Equal(t, context.Canceled, l.Shutdown(ctx))
		require.Zero(t, since(start))
		require.True(t, isClosed(s.Done()))
	})
}

func TestShutdownClosesRecvAndLetsHandlersFinish(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		var answered atomic.Int32
		handled := serveEach(l, func(s *Session) {
			for range s.Recv() {
			}
			<-time.After(3 * time.Second) // it has work to finish
			assert.NoError(t, s.Put([]byte("done")))
			assert.NoError(t, s.Close())
			answered.Add(1)
		})
		start := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			peer := ln.dial()
			wg.Go(func() {
				got, err := io.ReadAll(peer)
				assert.NoError(t, err)
				assert.Equal(t, "done", string(got))
				peer.CloseWrite()
			})
			wg.Go(func() { peer.Write(make([]byte, 100_000)) }) // reading has stopped
		}
		synctest.Wait()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Equal(t, 3*time.Second, since(start))
		<-handled
		wg.Wait()
		require.EqualValues(t, 5, answered.Load())
	})
}

func TestShutdownClosesWhatRemainsAfterCloseTimeout(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		peer := ln.dial()
		s := <-l.Sessions() // its handler never ends it
		go func() {
			io.Copy(io.Discard, peer)
			peer.CloseWrite()
		}()
		start := time.Now()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Equal(t, 5*time.Second, since(start))
		require.NoError(t, s.Err(), "it got a Close")
	})
}

func TestShutdownIsOverEvenIfPeersTakeNothing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.WriteTimeout = -1
		l, ln := serveMem(t, &o)
		ln.dial()
		s := <-l.Sessions()
		accepted := fill(t, s)
		start := time.Now()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Equal(t, 10*time.Second, since(start), "CloseTimeout for the handler, and for the Close")
		requireTimeout(t, s.Err())
		requireAllIsCounted(t, s, accepted)
	})
}

func TestShutdownDropsWhatNobodyReceived(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		peer := ln.dial()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Zero(t, since(start))
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		require.EqualValues(t, 1, l.Stats().Accepted)
	})
}

func TestShutdownDeliversWhatASlowReaderHasNotReadYet(t *testing.T) {
	want := noise(8 << 20)
	for _, way := range listeners {
		for _, q := range queues {
			t.Run(way.name+"/"+q.name, func(t *testing.T) {
				o := q.o
				o.CloseTimeout, o.WriteTimeout = patience, patience
				l := way.listen(t, t.Context(), &o)
				answering := make(chan struct{})
				handled := serveEach(l, func(s *Session) {
					defer s.Close()
					for range s.Recv() {
						close(answering)
						for rest := want; len(rest) > 0; rest = rest[1<<16:] {
							assert.NoError(t, s.Put(rest[:1<<16]))
						}
					}
				})
				conn := connectTo(t, l)
				_, err := conn.Write([]byte("?"))
				require.NoError(t, err)
				await(t, answering, "the handler")
				result := make(chan error, 1)
				go func() { result <- l.Shutdown(context.Background()) }()
				await(t, l.quit, "the beginning of Shutdown") // and nothing was read yet
				got, err := io.ReadAll(conn)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
				conn.Close()
				err, _ = await(t, result, "Shutdown")
				require.NoError(t, err)
				await(t, handled, "the handler")
			})
		}
	}
}

func TestCloseFromHandlersDuringShutdown(t *testing.T) {
	eachListener(t, func(t *testing.T, l *Listener) {
		var ready sync.WaitGroup
		handled := serveEach(l, func(s *Session) {
			ready.Done()
			var wg sync.WaitGroup
			for range s.Recv() {
			}
			for range 3 {
				wg.Go(func() { assert.NoError(t, s.Close()) })
			}
			wg.Wait()
		})
		for range 10 {
			ready.Add(1)
			conn := connectTo(t, l)
			go func() {
				io.Copy(io.Discard, conn)
				conn.Close()
			}()
		}
		ready.Wait()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { assert.NoError(t, l.Shutdown(context.Background())) })
		}
		wg.Wait()
		await(t, handled, "the handlers")
		require.NoError(t, l.Err())
	})
}

func TestCloseDuringShutdownAborts(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		ln.dial()
		s := <-l.Sessions()
		time.AfterFunc(time.Second, func() { l.Close() })
		start := time.Now()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Equal(t, time.Second, since(start))
		require.ErrorIs(t, s.Err(), ErrClosed)
	})
}

func TestAListenerMayBeEndedByItsHandlers(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(l *Listener)
	}{
		{"Close", func(l *Listener) { l.Close() }},
		{"Shutdown", func(l *Listener) { l.Shutdown(context.Background()) }},
		{"DisconnectAll, then Close", func(l *Listener) { l.DisconnectAll(); l.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, ln := serveMem(t, nil)
				ended := make(chan struct{})
				handled := serveEach(l, func(s *Session) {
					for range s.Recv() {
						test.end(l)
						close(ended)
					}
				})
				ln.dial().Write([]byte("end"))
				<-ended
				<-handled
				<-l.Done()
				require.NoError(t, l.Err())
			})
		})
	}
}

func TestDisconnectAllAbortsTheSessionsAndTheListenerGoesOn(t *testing.T) {
	eachListener(t, func(t *testing.T, l *Listener) {
		handled := serveEach(l, echo)
		for range 3 {
			var conns []net.Conn
			for range 5 {
				conn := connectTo(t, l)
				_, err := conn.Write([]byte("x"))
				require.NoError(t, err)
				_, err = io.ReadFull(conn, make([]byte, 1))
				require.NoError(t, err)
				conns = append(conns, conn)
			}
			all := slices.Collect(l.All())
			require.Len(t, all, 5)
			l.DisconnectAll()
			require.Zero(t, l.Len())
			for _, s := range all {
				require.True(t, isClosed(s.Done()))
				require.ErrorIs(t, s.Err(), ErrClosed)
			}
			for _, conn := range conns {
				_, err := conn.Read(make([]byte, 1))
				require.Error(t, err)
			}
		}
		require.EqualValues(t, 15, l.Stats().Accepted)
		require.NoError(t, l.Close())
		await(t, handled, "the handlers")
	})
}

func TestSessionsMayBeEndedWhileTheyAreAccepted(t *testing.T) {
	// Whoever knows a listener's sessions may end them before they have begun.
	for _, test := range []struct {
		name string
		end  func(l *Listener)
	}{
		{"DisconnectAll", (*Listener).DisconnectAll},
		{"All", func(l *Listener) {
			for s := range l.All() {
				s.Close()
			}
		}},
		{"events", func(l *Listener) {
			if e := <-l.Events(); e.Kind == EventConnected {
				e.Session.Abort(nil)
				<-e.Session.Done()
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &Options{CloseTimeout: time.Millisecond})
			handled := serveEach(l, echo)
			var wg sync.WaitGroup
			wg.Go(func() {
				for !isClosed(l.Done()) {
					test.end(l)
				}
			})
			for range 300 {
				conn, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					require.ErrorIs(t, err, errReset) // ended before we knew
					continue
				}
				conn.Write([]byte("x"))
				require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
				conn.Read(make([]byte, 1))
				conn.(*net.TCPConn).SetLinger(0)
				conn.Close()
			}
			require.NoError(t, l.Close())
			wg.Wait()
			await(t, handled, "the handlers")
		})
	}
}

func TestSessionAllAndLenKnowTheSessionsThatLive(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		var all []*Session
		for i := range 5 {
			ln.dial()
			s := <-l.Sessions()
			all = append(all, s)
			require.Equal(t, i+1, l.Len())
			found, ok := l.Session(s.ID())
			require.True(t, ok)
			require.Same(t, s, found)
		}
		require.ElementsMatch(t, all, slices.Collect(l.All()))
		n := 0
		for range l.All() {
			if n++; n == 2 {
				break
			}
		}
		for s := range l.All() {
			s.Abort(nil) // while iterating
			<-s.Done()
			_, ok := l.Session(s.ID())
			require.False(t, ok, "it is forgotten once it is Done")
		}
		require.Zero(t, l.Len())
	})
}

func TestStatsOfAListenerIncludeSessionsThatHaveEnded(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		l, ln := serveMem(t, &o)
		for i := range 4 {
			peer := ln.dial()
			s := <-l.Sessions()
			go peer.Write(make([]byte, 100))
			for n := 0; n < 100; {
				n += len(<-s.Recv())
			}
			go io.Copy(io.Discard, peer)
			require.NoError(t, s.Put(make([]byte, 30)))
			require.NoError(t, s.Flush(t.Context()))
			if i%2 == 0 {
				s.Abort(nil)
				<-s.Done()
			}
		}
		st := l.Stats()
		require.EqualValues(t, 2, st.Sessions)
		require.EqualValues(t, 4, st.Accepted)
		require.EqualValues(t, 400, st.BytesReceived)
		require.EqualValues(t, 120, st.BytesSent)
		require.EqualValues(t, 4, st.MessagesSent)
		ln.dial() // which does not read
		accepted := fill(t, <-l.Sessions())
		require.NoError(t, l.Close())
		require.Equal(t, accepted, l.Stats().Undelivered)
	})
}

func TestEventsOfAListenerComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		ln.errs <- &net.OpError{Op: "accept", Net: "mem", Addr: memAddr{}, Err: acceptErrors[0]}
		for range 3 {
			ln.dial()
			s := <-l.Sessions()
			s.Abort(errTest)
			<-s.Done()
		}
		require.NoError(t, l.Close())
		var kinds []EventKind
		for e := range l.Events() {
			kinds = append(kinds, e.Kind)
			switch e.Kind {
			case EventDisconnected:
				require.Equal(t, errTest, e.Err)
				require.NotNil(t, e.Session)
			case EventConnected:
				require.NotNil(t, e.Session)
				require.NoError(t, e.Err)
			case EventFailed:
				require.ErrorIs(t, e.Err, acceptErrors[0])
				var op *net.OpError
				require.ErrorAs(t, e.Err, &op)
				require.Equal(t, memAddr{}, op.Addr)
			}
		}
		require.Equal(t, []EventKind{
			EventStarted, EventFailed,
			EventConnected, EventDisconnected,
			EventConnected, EventDisconnected,
			EventConnected, EventDisconnected,
			EventStopped,
		}, kinds)
	})
}

func TestEventsThatNobodyReadsHoldUpNothing(t *testing.T) {
	eachListener(t, func(t *testing.T, l *Listener) {
		l.Events() // and never receive
		handled := serveEach(l, echo)
		for range 100 {
			conn := connectTo(t, l)
			_, err := conn.Write([]byte("x"))
			require.NoError(t, err)
			require.NoError(t, conn.(halfCloser).CloseWrite())
			_, err = io.ReadAll(conn)
			require.NoError(t, err)
			conn.Close()
		}
		require.NoError(t, l.Shutdown(t.Context()))
		await(t, handled, "the handlers")
		require.EqualValues(t, 202-min(202, l.set.EventQueue), l.Stats().EventsDropped)
	})
}

func TestAcceptErrorsThatPassAreRetriedWithAGrowingPause(t *testing.T) {
	for _, err := range append(acceptErrors[:], os.NewSyscallError("accept4", acceptErrors[0]), temporary{}) {
		t.Run(err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, ln := serveMem(t, nil)
				ln.dial()
				running := <-l.Sessions()
				last := time.Now()
				for _, want := range []time.Duration{0, 5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
					ln.errs <- err // waits until Accept is called
					require.Equal(t, want*time.Millisecond, since(last))
					last = time.Now()
				}
				require.NoError(t, running.Err(), "it ends nothing")
				running.Abort(nil) // and frees a descriptor
				<-running.Done()
				synctest.Wait()
				last = time.Now()
				ln.dial()
				require.Zero(t, since(last), "a session that went frees a descriptor")
				<-l.Sessions()
				ln.errs <- err
				last = time.Now()
				ln.errs <- err
				require.Equal(t, 5*time.Millisecond, since(last), "it starts anew")
			})
		})
	}
}

type temporary struct{}

func (temporary) Error() string   { return "it will pass" }
func (temporary) Temporary() bool { return true }

func TestAnAcceptThatFailsForGoodEndsTheListenerWithThatErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		ln.dial()
		s := <-l.Sessions()
		ln.errs <- errTest
		<-l.Done()
		require.ErrorIs(t, l.Err(), errTest)
		require.ErrorContains(t, l.Err(), "chanio: accept mem mem: ")
		require.ErrorIs(t, s.Err(), ErrClosed)
	})
}

func TestMaxSessionsIsNeverExceeded(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.MaxSessions = 3
		l, ln := serveMem(t, &o)
		var connected atomic.Int32
		for range 10 {
			go func() {
				if ln.dial() != nil {
					connected.Add(1)
				}
			}()
		}
		for range 3 {
			<-l.Sessions()
		}
		for want := int32(3); want <= 10; want++ {
			<-time.After(time.Hour)
			require.Equal(t, want, connected.Load())
			require.Equal(t, 3, l.Len())
			s := slices.Collect(l.All())[0]
			s.Abort(nil)
			<-s.Done()
			if want < 10 {
				<-l.Sessions()
			}
		}
	})
}

func TestMaxSessionsIsNeverExceededWhileTheyComeAndGo(t *testing.T) {
	for _, way := range listeners {
		t.Run(way.name, func(t *testing.T) {
			const bound, clients, each = 4, 12, 20
			l := way.listen(t, t.Context(), &Options{MaxSessions: bound})
			var live, most atomic.Int32
			handled := serveEach(l, func(s *Session) {
				n := live.Add(1)
				for most := &most; n > most.Load(); {
					most.Store(n)
				}
				for range s.Recv() {
				}
				live.Add(-1) // before the session can end
				s.Close()
			})
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for range each {
						conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
						if !assert.NoError(t, err) {
							return
						}
						conn.SetDeadline(time.Now().Add(patience))
						conn.(halfCloser).CloseWrite()
						_, err = io.ReadAll(conn)
						assert.NoError(t, err)
						conn.Close()
					}
				})
			}
			wg.Wait()
			require.LessOrEqual(t, most.Load(), int32(bound))
			require.EqualValues(t, clients*each, l.Stats().Accepted)
			require.NoError(t, l.Close())
			await(t, handled, "the handlers")
		})
	}
}

func TestRestartKeepsTheChannelsAndTheAddress(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, q := range queues {
			t.Run(network+"/"+q.name, func(t *testing.T) {
				address := anyAddress(t, network)
				l := listenOn(t, t.Context(), network, address, &q.o)
				handled := serveEach(l, echo)
				before, sessions, events := l.Addr().String(), l.Sessions(), l.Events()
				for range 5 {
					conn := connectTo(t, l)
					_, err := conn.Write([]byte("x"))
					require.NoError(t, err)
					_, err = io.ReadFull(conn, make([]byte, 1))
					require.NoError(t, err)
					all := slices.Collect(l.All())
					require.Len(t, all, 1)

					require.NoError(t, l.Restart(t.Context()))
					require.True(t, isClosed(all[0].Done()))
					require.ErrorIs(t, all[0].Err(), ErrClosed)
					require.Equal(t, before, l.Addr().String())
					require.Equal(t, sessions, l.Sessions())
					require.Equal(t, events, l.Events())
					require.NoError(t, l.Err())
				}
				require.EqualValues(t, 5, l.Stats().Accepted)
				require.NoError(t, l.Close())
				await(t, handled, "the handlers")
				require.ErrorIs(t, l.Restart(t.Context()), ErrClosed)
			})
		}
	}
}

func TestAnAddressIsBoundAgainOnlyWhenItIsFree(t *testing.T) {
	ln := &slowClose{memListener: newMemListener(), release: make(chan struct{})}
	src := &streams{ln: ln}
	go src.interrupt()
	_, err := ln.Accept() // has failed already, and the address is not free
	require.ErrorIs(t, err, net.ErrClosed)
	time.AfterFunc(20*time.Millisecond, func() { close(ln.release) })
	src.release()
	require.True(t, ln.free.Load())
}

// slowClose is a listener whose Close returns some time after Accept has failed.
type slowClose struct {
	*memListener
	release chan struct{}
	free    atomic.Bool
}

func (l *slowClose) Close() error {
	l.memListener.Close()
	<-l.release
	l.free.Store(true)
	return nil
}

func TestRestartDropsWhatNobodyReceived(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	connectTo(t, l)
	for e := range l.Events() {
		if e.Kind == EventConnected {
			break
		}
	}
	require.NoError(t, l.Restart(t.Context()))
	require.Zero(t, l.Len())
	connectTo(t, l)
	s, ok := await(t, l.Sessions(), "a session of the new listener")
	require.True(t, ok)
	require.NoError(t, s.Err())
}

func TestRestartAfterServeIsUnsupported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ln := serveMem(t, nil)
		require.ErrorIs(t, l.Restart(t.Context()), errors.ErrUnsupported)
		ln.dial()
		require.NotNil(t, <-l.Sessions(), "it goes on")
	})
}

func TestARestartThatFailsEndsTheListenerWithThatErr(t *testing.T) {
	path := filepath.Join(filepath.Dir(unixPath(t)), "dir")
	require.NoError(t, os.Mkdir(path, 0o700))
	l := listenOn(t, t.Context(), "unix", filepath.Join(path, "s"), nil)
	connectTo(t, l)
	s, _ := await(t, l.Sessions(), "a session")
	require.NoError(t, os.Rename(path, path+".moved"))
	err := l.Restart(t.Context())
	require.ErrorIs(t, err, syscall.ENOENT)
	_, ok := await(t, l.Sessions(), "Sessions")
	require.False(t, ok)
	require.Equal(t, err, l.Err())
	awaitDone(t, l)
	require.True(t, isClosed(s.Done()))
	require.ErrorIs(t, l.Restart(t.Context()), ErrClosed)
	require.NoError(t, l.Close())
}

func TestARestartWhosePortWasTakenEndsTheListenerWithThatErr(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	address := l.Addr().String()
	bind := l.bind
	l.bind = func() (source, error) { // in the moment in which nobody has it
		other, err := net.Listen("tcp", address)
		require.NoError(t, err)
		t.Cleanup(func() { other.Close() })
		return bind()
	}
	require.ErrorIs(t, l.Restart(t.Context()), errAddressInUse)
	awaitDone(t, l)
	require.ErrorIs(t, l.Err(), errAddressInUse)
	require.ErrorContains(t, l.Err(), address)
}

func TestRestartGoesOnWhenItsContextEnds(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	ctx, cancel := context.WithCancel(t.Context())
	bind, release := l.bind, make(chan struct{})
	l.bind = func() (source, error) {
		cancel()
		<-release
		return bind()
	}
	require.ErrorIs(t, l.Restart(ctx), context.Canceled)
	require.ErrorIs(t, l.Restart(ctx), context.Canceled, "a context that has ended starts none")
	require.ErrorContains(t, l.Restart(t.Context()), "under way")
	close(release)
	for restarts := 0; restarts < 2; {
		if e, _ := await(t, l.Events(), "EventStarted"); e.Kind == EventStarted {
			restarts++
		}
	}
	connectTo(t, l)
	await(t, l.Sessions(), "a session")
}

func TestRestartBesideTheEndIsAnswered(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(l *Listener, cancel func())
	}{
		{"Close", func(l *Listener, _ func()) { l.Close() }},
		{"Shutdown", func(l *Listener, _ func()) { l.Shutdown(context.Background()) }},
		{"the context", func(_ *Listener, cancel func()) { cancel() }},
		{"a failed accept", func(l *Listener, _ func()) {
			l.mu.Lock()
			src := l.src
			l.mu.Unlock()
			src.interrupt()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				l, err := Listen(ctx, "tcp", "127.0.0.1:0", nil)
				require.NoError(t, err)
				handled := serveEach(l, echo)
				conn, err := net.Dial("tcp", l.Addr().String())
				require.NoError(t, err)
				results := make(chan error, 3)
				for range 3 {
					go func() { results <- l.Restart(context.Background()) }()
				}
				go test.end(l, cancel)
				for range 3 {
					await(t, results, "Restart")
				}
				require.NoError(t, l.Close())
				await(t, handled, "the handlers")
				conn.Close()
				cancel()
			}
		})
	}
}

func TestAHandlerThatForgetsToCloseLeavesNoSession(t *testing.T) {
	for _, way := range listeners {
		t.Run(way.name, func(t *testing.T) {
			l := way.listen(t, t.Context(), &Options{HalfCloseTimeout: 10 * time.Millisecond})
			ended := make(chan *Session, 10)
			handled := serveEach(l, func(s *Session) {
				for range s.Recv() {
				}
				ended <- s
			})
			for range 10 {
				conn := connectTo(t, l)
				require.NoError(t, conn.(halfCloser).CloseWrite())
				io.ReadAll(conn)
			}
			for range 10 {
				s, _ := await(t, ended, "the handlers")
				awaitDone(t, s)
			}
			require.Zero(t, l.Len())
			require.NoError(t, l.Close())
			await(t, handled, "the handlers")
		})
	}
}
