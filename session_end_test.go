package chanio_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

// failures are the ways in which a session ends. err is Err after it, nil for a
// clean end. The peer reads nothing of what was sent before.
var failures = []struct {
	name string
	o    chanio.Options
	end  func(s *chanio.Session, peer *chaniotest.Conn, cancel context.CancelCauseFunc)
	err  error
}{
	{"Close", chanio.Options{}, func(s *chanio.Session, _ *chaniotest.Conn, _ context.CancelCauseFunc) { go s.Close() }, nil},
	{"CloseWrite and the peer's end", chanio.Options{}, func(s *chanio.Session, peer *chaniotest.Conn, _ context.CancelCauseFunc) {
		s.CloseWrite()
		peer.CloseWrite()
	}, nil},
	{"closing Send and the peer's end", chanio.Options{}, func(s *chanio.Session, peer *chaniotest.Conn, _ context.CancelCauseFunc) {
		close(s.Send())
		peer.CloseWrite()
	}, nil},
	{"the peer's end and HalfCloseTimeout", chanio.Options{}, func(_ *chanio.Session, peer *chaniotest.Conn, _ context.CancelCauseFunc) {
		peer.CloseWrite()
	}, os.ErrDeadlineExceeded},
	{"Abort(nil)", chanio.Options{}, func(s *chanio.Session, _ *chaniotest.Conn, _ context.CancelCauseFunc) { s.Abort(nil) }, chanio.ErrClosed},
	{"Abort", chanio.Options{}, func(s *chanio.Session, _ *chaniotest.Conn, _ context.CancelCauseFunc) { s.Abort(errTest) }, errTest},
	{"the context", chanio.Options{}, func(_ *chanio.Session, _ *chaniotest.Conn, cancel context.CancelCauseFunc) { cancel(errTest) }, errTest},
	{"IdleTimeout", chanio.Options{IdleTimeout: time.Second}, func(*chanio.Session, *chaniotest.Conn, context.CancelCauseFunc) {}, os.ErrDeadlineExceeded},
	{"a reset", chanio.Options{}, func(_ *chanio.Session, peer *chaniotest.Conn, _ context.CancelCauseFunc) {
		peer.SetLinger(0)
		peer.Close()
	}, syscall.ECONNRESET},
}

func TestAfterEachKindOfEndEveryCallAnswers(t *testing.T) {
	for _, end := range failures {
		for _, q := range queues {
			t.Run(end.name+"/"+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					o := end.o
					o.RecvQueue, o.SendQueue = q.o.RecvQueue, q.o.SendQueue
					a, peer := memPair()
					defer peer.Close()
					s := chanio.NewSession(ctx, a, &o)
					before := s.Context()
					require.NoError(t, before.Err())
					require.EqualValues(t, 1, s.Stats().Sessions)
					go io.Copy(io.Discard, peer)

					end.end(s, peer, cancel)
					<-s.Done()
					if end.err == nil {
						require.NoError(t, s.Err())
						require.Equal(t, context.Canceled, context.Cause(before))
					} else {
						require.ErrorIs(t, s.Err(), end.err)
						require.Equal(t, s.Err(), context.Cause(before), "the cause is Err")
						require.Equal(t, s.Err(), context.Cause(s.Context()))
					}
					require.ErrorIs(t, s.Context().Err(), context.Canceled)
					_, ok := <-s.Recv()
					require.False(t, ok, "Recv is closed")
					requireAllCallsAnswer(t, s)
					require.Equal(t, chanio.Stats{Accepted: 1}, s.Stats())
				})
			})
		}
	}
}

// requireAllCallsAnswer makes every call on s, which has ended with nothing
// undelivered.
func requireAllCallsAnswer(t *testing.T, s *chanio.Session) {
	t.Helper()
	err := s.Err()
	for range 2 {
		require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed)
		require.ErrorIs(t, s.Put([]byte("x")), net.ErrClosed)
		n, werr := s.Write([]byte("x"))
		require.Zero(t, n)
		require.ErrorIs(t, werr, chanio.ErrClosed, "no matter what the cause was")
		require.NoError(t, s.Flush(t.Context()))
		if s.Err() == nil {
			require.NoError(t, s.CloseWrite())
		} else {
			require.ErrorIs(t, s.CloseWrite(), chanio.ErrClosed)
		}
		require.NoError(t, s.Close())
		s.Abort(errors.New("too late"))
		require.Equal(t, err, s.Err(), "the first cause wins")
	}
}

func TestPutThatWaitsForRoomIsReleasedByEachKindOfEnd(t *testing.T) {
	for _, end := range failures {
		if end.name == "closing Send and the peer's end" {
			continue // closing a channel while another goroutine sends on it is a data race
		}
		for _, q := range queues {
			t.Run(end.name+"/"+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(context.Background())
					defer cancel(nil)
					o := end.o
					o.RecvQueue, o.SendQueue = q.o.RecvQueue, q.o.SendQueue
					a, peer := memPair()
					defer peer.Close()
					s := chanio.NewSession(ctx, a, &o)
					accepted := fill(t, s)
					result := make(chan error)
					go func() { result <- s.Put([]byte("refused")) }()
					synctest.Wait()
					end.end(s, peer, cancel)
					require.ErrorIs(t, <-result, chanio.ErrClosed)
					<-s.Done()
					requireAllIsCounted(t, s, accepted)
				})
			})
		}
	}
}

func TestAPeerThatResetsWhileTheHandlerSends(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			a, peer := socketPair(t, "tcp")
			s := chanio.NewSession(t.Context(), a, &q.o)
			accepted := make(chan int64, 1)
			go func() {
				n := int64(0)
				for s.Put(make([]byte, 10_000)) == nil {
					n += 10_000
				}
				accepted <- n
			}()
			_, err := io.ReadFull(peer, make([]byte, 100_000))
			require.NoError(t, err)
			require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
			require.NoError(t, peer.Close())
			n, _ := await(t, accepted, "the handler")
			awaitDone(t, s)
			require.Error(t, s.Err())
			require.True(t, errors.Is(s.Err(), errReset) || errors.Is(s.Err(), errBroken), s.Err())
			var op *net.OpError
			require.ErrorAs(t, s.Err(), &op)
			require.Equal(t, peer.LocalAddr().String(), op.Addr.String())
			requireAllIsCounted(t, s, n)
			_, ok := await(t, s.Recv(), "Recv")
			require.False(t, ok)
		})
	}
}

func TestErrIsSetBeforeRecvIsClosed(t *testing.T) {
	for range 100 {
		a, peer := socketPair(t, "tcp")
		s := chanio.NewSession(t.Context(), a, nil)
		require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
		require.NoError(t, peer.Close())
		_, ok := await(t, s.Recv(), "Recv")
		require.False(t, ok)
		require.ErrorIs(t, s.Err(), errReset)
		awaitDone(t, s)
	}
}

func TestASessionEndsOnceHoweverManyEndIt(t *testing.T) {
	ends := []func(s *chanio.Session, peer net.Conn, cancel func()){
		func(s *chanio.Session, _ net.Conn, _ func()) { s.Close() },
		func(s *chanio.Session, _ net.Conn, _ func()) { s.CloseWrite() },
		func(s *chanio.Session, _ net.Conn, _ func()) { s.Abort(nil) },
		func(s *chanio.Session, _ net.Conn, _ func()) { s.Abort(errTest) },
		func(_ *chanio.Session, _ net.Conn, cancel func()) { cancel() },
		func(_ *chanio.Session, peer net.Conn, _ func()) { peer.Close() },
		func(s *chanio.Session, _ net.Conn, _ func()) { s.Flush(context.Background()) },
		func(s *chanio.Session, _ net.Conn, _ func()) { s.Halt() },
		func(s *chanio.Session, _ net.Conn, _ func()) { s.BeginClose() },
		func(s *chanio.Session, _ net.Conn, _ func()) { <-s.Context().Done() },
		func(s *chanio.Session, peer net.Conn, _ func()) {
			if half, ok := peer.(halfCloser); ok {
				half.CloseWrite()
			}
		},
	}
	for _, p := range pairs {
		for _, q := range queues {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				for range 60 {
					a, peer := p.make(t)
					ctx, cancel := context.WithCancel(t.Context())
					o := q.o
					o.CloseTimeout, o.HalfCloseTimeout = 20*time.Millisecond, 20*time.Millisecond
					s := chanio.NewSession(ctx, a, &o)
					var wg sync.WaitGroup
					var accepted atomic.Int64
					wg.Go(func() { io.Copy(io.Discard, peer) })
					wg.Go(func() {
						for range s.Recv() {
						}
					})
					for range 2 {
						wg.Go(func() {
							for s.Put(make([]byte, 5000)) == nil {
								accepted.Add(5000)
							}
						})
					}
					for range 4 {
						end := ends[rand.IntN(len(ends))]
						wg.Go(func() { end(s, peer, cancel) })
					}
					wg.Go(func() {
						<-time.After(time.Duration(rand.IntN(int(2 * time.Millisecond))))
						s.Abort(nil) // in case nothing else ends it
					})
					awaitDone(t, s)
					peer.Close()
					wg.Wait()
					cancel()
					requireAllIsCounted(t, s, accepted.Load())
				}
			})
		}
	}
}
