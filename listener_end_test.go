package chanio_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// listenerEnds are the ways in which a listener ends.
var listenerEnds = []struct {
	name    string
	end     func(l *chanio.Listener, ln *memListener, cancel context.CancelCauseFunc)
	err     error // the listener's
	session error // its sessions'; nil if they end cleanly
	dropped error // what the peer of an unreceived session reads
}{
	{"Close", func(l *chanio.Listener, _ *memListener, _ context.CancelCauseFunc) { l.Close() }, nil, chanio.ErrClosed, syscall.ECONNRESET},
	{"Shutdown", func(l *chanio.Listener, _ *memListener, _ context.CancelCauseFunc) { l.Shutdown(context.Background()) }, nil, nil, syscall.ECONNRESET},
	{"the context", func(_ *chanio.Listener, _ *memListener, cancel context.CancelCauseFunc) { cancel(errTest) }, errTest, errTest, io.EOF},
	{"a failed accept", func(_ *chanio.Listener, ln *memListener, _ context.CancelCauseFunc) { ln.Fail(errTest) }, errTest, chanio.ErrClosed, nil},
}

func TestAfterEachKindOfEndOfAListenerNothingIsLeft(t *testing.T) {
	for _, end := range listenerEnds {
		t.Run(end.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				ln := newMemListener()
				l := chanio.Serve(ctx, ln, &o)
				require.NoError(t, l.Err())
				var all []*chanio.Session
				for range 3 {
					peer := ln.dial()
					go io.Copy(io.Discard, peer)
					s := <-l.Sessions()
					all = append(all, s)
					go sendBack(s)
				}
				var undelivered *chaniotest.Conn
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
						require.ErrorIs(t, s.Err(), chanio.ErrClosed, "an unreceived session is dropped")
					} else {
						requireErr(t, end.session, s.Err(), "a session's Err")
					}
					_, ok := l.Session(s.ID())
					require.False(t, ok)
				}
				if undelivered != nil {
					_, err := undelivered.Read(make([]byte, 1))
					require.ErrorIs(t, err, end.dropped)
				}
				require.Nil(t, ln.dial(), "the net.Listener is closed")
				requireListenerAnswers(t, l)
			})
		})
	}
}

// requireListenerAnswers makes every call on l, which has ended.
func requireListenerAnswers(t *testing.T, l *chanio.Listener) {
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
		stopped = e.Kind == chanio.EventStopped
	}
	require.Equal(t, l.Settings().EventQueue > 0, stopped, "EventStopped is the last")
}

func TestAListenerMayBeEndedByItsHandlers(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(l *chanio.Listener)
	}{
		{"Close", func(l *chanio.Listener) { l.Close() }},
		{"Shutdown", func(l *chanio.Listener) { l.Shutdown(context.Background()) }},
		{"DisconnectAll, then Close", func(l *chanio.Listener) { l.DisconnectAll(); l.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, ln := serveMem(t, nil)
				ended := make(chan struct{})
				handled := serveEach(l, func(s *chanio.Session) {
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
	eachListener(t, func(t *testing.T, l *chanio.Listener) {
		handled := serveEach(l, sendBack)
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
				require.ErrorIs(t, s.Err(), chanio.ErrClosed)
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
	// Anyone who knows a listener's sessions may end them before they have begun.
	for _, test := range []struct {
		name string
		end  func(l *chanio.Listener)
	}{
		{"DisconnectAll", (*chanio.Listener).DisconnectAll},
		{"All", func(l *chanio.Listener) {
			for s := range l.All() {
				s.Close()
			}
		}},
		{"events", func(l *chanio.Listener) {
			if e := <-l.Events(); e.Kind == chanio.EventConnected {
				e.Session.Abort(nil)
				<-e.Session.Done()
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{CloseTimeout: time.Millisecond})
			handled := serveEach(l, sendBack)
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

func TestAHandlerThatForgetsToCloseLeavesNoSession(t *testing.T) {
	for _, way := range listeners {
		t.Run(way.name, func(t *testing.T) {
			l := way.listen(t, t.Context(), &chanio.Options{HalfCloseTimeout: 10 * time.Millisecond})
			ended := make(chan *chanio.Session, 10)
			handled := serveEach(l, func(s *chanio.Session) {
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

func TestWhoFindsAListenerStoppedFindsItsRegistryClosed(t *testing.T) {
	l := listenOn(t, t.Context(), "tcp", "127.0.0.1:0", nil)
	quit, early := l.Quit(), false
	unlock := l.HoldRegistry()
	stopped := make(chan error, 1)
	go func() { stopped <- l.NetListener().Close() }()
	for range 10_000 { // a bound that decides nothing where the promise holds
		if early = isClosed(quit); early {
			break
		}
		runtime.Gosched()
	}
	unlock()
	require.False(t, early, "a session could begin that neither Close nor Shutdown would end")
	require.NoError(t, <-stopped)
	await(t, quit, "the end of accepting")
}
