package chanio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireTimeout requires that err is a timeout in all the ways that people ask.
func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
	require.ErrorContains(t, err, "chanio: ")
}

// since is how much time has passed in the bubble.
func since(start time.Time) time.Duration { return time.Since(start) }

func TestCloseFlushesWhatWasAcceptedAndSendsTheEndOfStream(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		want := noise(3 << 20)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(50_000))
				assert.NoError(t, s.Put(rest[:n]))
				rest = rest[n:]
			}
			assert.NoError(t, s.Close())
			assert.True(t, isClosed(s.Done()), "Close returns when all is gone")
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
		peer.Close()
		awaitDone(t, s)
		require.NoError(t, s.Err())
		require.Zero(t, s.Stats().Undelivered)
	})
}

func TestCloseReturnsAsSoonAsThePeerHasEnded(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		go func() {
			io.Copy(io.Discard, peer)
			peer.CloseWrite()
		}()
		require.NoError(t, s.Put(make([]byte, 100_000)))
		start := time.Now()
		require.NoError(t, s.Close())
		require.Zero(t, since(start))
		require.NoError(t, s.Err())
	})
}

func TestCloseDiscardsInputFor500msAtMost(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		written := make(chan int)
		go func() {
			n := 0
			for {
				if _, err := peer.Write(make([]byte, 1000)); err != nil {
					written <- n
					return
				}
				n++
				<-time.After(time.Millisecond)
			}
		}()
		go io.Copy(io.Discard, peer)
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, 500*time.Millisecond, since(start))
		require.NoError(t, s.Err())
		require.GreaterOrEqual(t, <-written, 499, "it went on reading")
	})
}

func TestCloseIsOverWithinCloseTimeoutAndTellsWhatIsUnsent(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, _ := memSession(t, &o)
		accepted := fill(t, s)
		start := time.Now()
		err := s.Close()
		require.Equal(t, 5*time.Second, since(start))
		requireTimeout(t, err)
		require.Equal(t, err, s.Err())
		require.Equal(t, err, s.Close(), "again")
		require.Equal(t, accepted, s.Stats().Undelivered)
		require.ErrorIs(t, s.Flush(t.Context()), ErrClosed)
		requireAllIsCounted(t, s, accepted)
	})
}

func TestCloseTimeoutIncludesTheWaitForThePeersEnd(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		require.NoError(t, s.Put([]byte("x")))
		time.AfterFunc(4900*time.Millisecond, func() { peer.Read(make([]byte, 1)) })
		start := time.Now()
		require.NoError(t, s.Close(), "all was sent")
		require.Equal(t, 5*time.Second, since(start))
		require.NoError(t, s.Err())
	})
}

func TestCloseTimeoutThatIsShorterThanTheDiscardingBoundsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, &Options{CloseTimeout: 100 * time.Millisecond})
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, 100*time.Millisecond, since(start))
		require.NoError(t, s.Err())
	})
}

func TestCloseWithoutCloseTimeoutWaitsForTheWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &Options{CloseTimeout: -1, WriteTimeout: -1})
		require.NoError(t, s.Put([]byte("x")))
		time.AfterFunc(time.Hour, func() { peer.Read(make([]byte, 1)) })
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, time.Hour+500*time.Millisecond, since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, &Options{CloseTimeout: -1})
		require.NoError(t, s.Put([]byte("x")))
		start := time.Now()
		requireTimeout(t, s.Close())
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
	})
}

func TestCloseAfterTheEndOfStreamWasSentStillWaitsForThePeers(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		require.NoError(t, s.CloseWrite())
		synctest.Wait()
		<-time.After(time.Hour)
		start := time.Now()
		time.AfterFunc(200*time.Millisecond, func() { peer.CloseWrite() })
		require.NoError(t, s.Close())
		require.Equal(t, 200*time.Millisecond, since(start))
	})
	eachQueue(t, func(t *testing.T, o Options) {
		s, _ := memSession(t, &o)
		require.NoError(t, s.CloseWrite())
		synctest.Wait()
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, 500*time.Millisecond, since(start), "but not for long")
	})
}

func TestAReadThatCloseInterruptsIsNoFailure(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		a, peer := memPair()
		defer peer.Close()
		conn := &slowDeadlines{memConn: a, release: make(chan struct{})}
		s := NewSession(context.Background(), conn, &o)
		go io.Copy(io.Discard, peer)
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait() // the read has failed, and the reader was not told why
		close(conn.release)
		require.NoError(t, <-closed)
		require.NoError(t, s.Err())
	})
}

// slowDeadlines is a connection whose reads have failed before the call that
// makes them fail returns.
type slowDeadlines struct {
	*memConn
	release chan struct{}
}

func (c *slowDeadlines) SetReadDeadline(t time.Time) error {
	err := c.memConn.SetReadDeadline(t)
	if !t.IsZero() {
		<-c.release
	}
	return err
}

func TestACloseThatRunsOutWithAllWrittenIsInOrder(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		a, peer := memPair()
		defer peer.Close()
		conn := &slowCloseWrite{memConn: a, release: make(chan struct{})}
		s := NewSession(context.Background(), conn, &o)
		require.NoError(t, s.Put([]byte("x")))
		go peer.Read(make([]byte, 1))
		time.AfterFunc(time.Minute, func() { close(conn.release) })
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, time.Minute, since(start), "the writer's goroutine was not gone before")
		require.NoError(t, s.Err())
		require.EqualValues(t, 1, s.Stats().BytesSent)
	})
}

// slowCloseWrite is a connection whose end of stream takes its time.
type slowCloseWrite struct {
	*memConn
	release chan struct{}
}

func (c *slowCloseWrite) CloseWrite() error {
	<-c.release
	return c.memConn.CloseWrite()
}

func TestCloseDropsWhatIsNotYetInRecv(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		const sent = 100
		go func() {
			for range sent {
				peer.Write([]byte("x"))
			}
			peer.CloseWrite()
		}()
		synctest.Wait() // Recv is full, and the reader has one more in hand
		waiting := len(s.recv)
		require.Equal(t, cap(s.recv), waiting)
		require.NoError(t, s.Close())
		got := 0
		for range s.Recv() {
			got++
		}
		require.Equal(t, waiting, got)
	})
}

func TestCloseAfterAFlushWithUnreadInputLosesNothing(t *testing.T) {
	for _, p := range pairs {
		if p.name == "pipe" {
			continue // it buffers nothing
		}
		for _, q := range queues {
			t.Run(p.name+"/"+q.name, func(t *testing.T) {
				a, peer := p.make(t)
				defer peer.Close()
				require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
				s := NewSession(t.Context(), a, &q.o)
				want := noise(100_000)

				written := make(chan error, 1)
				go func() {
					_, err := peer.Write(make([]byte, 1<<20))
					peer.(halfCloser).CloseWrite()
					written <- err
				}()
				await(t, s.Recv(), "the first of the 1 MiB, the rest of which nobody receives")
				require.NoError(t, s.Put(want))
				flushed := make(chan error, 1)
				go func() { flushed <- s.Flush(context.Background()) }()
				err, _ := await(t, flushed, "Flush")
				require.NoError(t, err)
				require.NoError(t, s.Close())
				err, _ = await(t, written, "the peer's writes")
				require.NoError(t, err)
				got, err := io.ReadAll(peer)
				require.NoError(t, err, "a reset would show here")
				require.True(t, bytes.Equal(want, got))
			})
		}
	}
}

func TestCloseIsSafeFromTenGoroutinesAtOnce(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		require.NoError(t, s.Put([]byte("x")))
		go io.Copy(io.Discard, peer)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				assert.NoError(t, s.Close())
				assert.True(t, isClosed(s.Done()))
			})
		}
		wg.Go(func() { s.CloseWrite() })
		if half, ok := peer.(halfCloser); ok {
			half.CloseWrite()
		}
		wg.Wait()
		require.NoError(t, s.Err())
	})
}

func TestCloseIsSafeFromTheHandlerWhileItReceives(t *testing.T) {
	eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
		handled := make(chan struct{})
		go func() {
			defer close(handled)
			defer s.Close()
			for m := range s.Recv() {
				if bytes.Contains(m, []byte("!")) {
					assert.NoError(t, s.Put([]byte("bye")))
					assert.NoError(t, s.Close())
				}
			}
		}()
		go peer.Write([]byte("hello!"))
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Equal(t, "bye", string(got))
		peer.Close()
		await(t, handled, "the handler")
	})
}

func TestAbortEndsAtOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, _ := memSession(t, &o)
		accepted := fill(t, s)
		start := time.Now()
		s.Abort(errTest)
		require.Equal(t, errTest, s.Err())
		<-s.Done()
		require.Zero(t, since(start))
		require.Equal(t, accepted, s.Stats().Undelivered)
		s.Abort(nil)
		require.Equal(t, errTest, s.Err(), "the first cause wins")
	})
}

func TestAbortDuringCloseIsWhatEndsIt(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, _ := memSession(t, &o)
		accepted := fill(t, s)
		time.AfterFunc(time.Second, func() { s.Abort(errTest) })
		start := time.Now()
		require.Equal(t, errTest, s.Close())
		require.Equal(t, time.Second, since(start))
		requireAllIsCounted(t, s, accepted)
	})
}

func TestTheContextClosesAtOnceWithoutFlushing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		ctx, cancel := context.WithCancelCause(context.Background())
		a, peer := memPair()
		defer peer.Close()
		s := NewSession(ctx, a, &o)
		accepted := fill(t, s)
		start := time.Now()
		cancel(errTest)
		<-s.Done()
		require.Zero(t, since(start))
		require.Equal(t, errTest, s.Err())
		require.Equal(t, errTest, context.Cause(s.Context()))
		require.Equal(t, accepted, s.Stats().Undelivered)
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestAWithTimeoutContextIsTheSessionsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		a, peer := memPair()
		defer peer.Close()
		s := NewSession(ctx, a, nil)
		start := time.Now()
		<-s.Done()
		require.Equal(t, time.Minute, since(start))
		require.Equal(t, context.DeadlineExceeded, s.Err())
	})
}

func TestTCPIsResetByAbortAndByACloseThatRanOut(t *testing.T) {
	for _, test := range []struct {
		name  string
		o     Options
		end   func(s *Session, cancel func())
		reset bool
	}{
		{"Abort", Options{}, func(s *Session, _ func()) { s.Abort(nil) }, true},
		{"a Close that ran out", Options{CloseTimeout: 50 * time.Millisecond, SendQueue: 8}, func(s *Session, _ func()) {
			for range 64 {
				s.put(make([]byte, 1<<20), closedChan())
			}
			s.Close()
		}, true},
		{"the context", Options{}, func(_ *Session, cancel func()) { cancel() }, false},
		{"Close", Options{}, func(s *Session, _ func()) { s.Close() }, false},
		{"IdleTimeout", Options{IdleTimeout: 1}, func(*Session, func()) {}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, peer := socketPair(t, "tcp")
			defer peer.Close()
			require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := NewSession(ctx, a, &test.o)
			s.Put([]byte("x"))
			s.Flush(t.Context())
			test.end(s, cancel)
			awaitDone(t, s)
			_, err := io.Copy(io.Discard, peer)
			if test.reset {
				require.ErrorIs(t, err, errReset)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// refilling is a connection on which each write finds a bare sender that has
// filled Send again when it returns.
type refilling struct {
	*memConn
	send    chan<- []byte // nil until the session is made
	refills atomic.Int32  // how many more there are
}

func (c *refilling) Write(p []byte) (int, error) {
	if c.refills.Add(-1) >= 0 {
		for range cap(c.send) - len(c.send) {
			c.send <- []byte("more")
		}
	}
	return c.memConn.Write(p)
}

func TestABareSenderDoesNotKeepTheOutputFromEnding(t *testing.T) {
	const refills = 1000
	for _, way := range []struct {
		name string
		end  func(s *Session) error
	}{{"CloseWrite", (*Session).CloseWrite}, {"Close", (*Session).Close}} {
		for _, queue := range []int{1, 128} {
			t.Run(way.name+", SendQueue "+strconv.Itoa(queue), func(t *testing.T) {
				peer, b := memPair()
				conn := &refilling{memConn: b}
				conn.refills.Store(refills)
				s := NewSession(t.Context(), conn, &Options{SendQueue: queue})
				defer s.Close()
				conn.send = s.send
				go func() {
					io.Copy(io.Discard, peer)
					peer.Close()
				}()
				require.NoError(t, s.Put([]byte("accepted")))
				require.NoError(t, way.end(s))
				awaitDone(t, s)
				require.NoError(t, s.Err())
				require.Positive(t, conn.refills.Load(), "it ended before the sender did")
			})
		}
	}
}

func closedChan() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestCloseWriteSendsWhatWasAcceptedThenTheEndOfStream(t *testing.T) {
	for _, way := range []struct {
		name string
		end  func(s *Session) error
	}{
		{"CloseWrite", (*Session).CloseWrite},
		{"closing Send", func(s *Session) error { close(s.Send()); return nil }},
	} {
		t.Run(way.name, func(t *testing.T) {
			eachPair(t, func(t *testing.T, s *Session, peer net.Conn) {
				want := noise(1 << 20)
				go func() {
					for rest := want; len(rest) > 0; rest = rest[1<<16:] {
						assert.NoError(t, s.Put(rest[:1<<16]))
					}
					assert.NoError(t, way.end(s))
					assert.NoError(t, s.CloseWrite(), "it is idempotent")
					assert.ErrorIs(t, s.Put([]byte("x")), ErrClosed)
				}()
				got, err := io.ReadAll(peer)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
				if _, ok := peer.(halfCloser); !ok {
					awaitDone(t, s) // there is no half-close: it meant Close
					require.NoError(t, s.Err())
					return
				}
				_, err = peer.Write([]byte("still received"))
				require.NoError(t, err)
				m, _ := await(t, s.Recv(), "a message")
				require.Equal(t, "still received", string(m))
				require.False(t, isClosed(s.Done()))
				peer.Close()
				_, ok := await(t, s.Recv(), "the end of Recv")
				require.False(t, ok)
				awaitDone(t, s) // both directions have ended
				require.NoError(t, s.Err())
			})
		})
	}
}

func TestCloseWriteReleasesAndRefusesPuts(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		accepted := fill(t, s)
		result := make(chan error)
		go func() { result <- s.Put([]byte("x")) }()
		synctest.Wait()
		require.NoError(t, s.CloseWrite())
		require.ErrorIs(t, <-result, ErrClosed)
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Len(t, got, int(accepted), "what was accepted goes out")
	})
}

func TestAfterThePeersEndTheLastAnswersGetOut(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		peer.CloseWrite()
		_, ok := <-s.Recv()
		require.False(t, ok)
		start := time.Now()
		go func() {
			for range 10 {
				<-time.After(59 * time.Second) // each is progress within HalfCloseTimeout
				assert.NoError(t, s.Put([]byte("x")))
			}
			assert.NoError(t, s.CloseWrite())
		}()
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		require.Len(t, got, 10)
		<-s.Done()
		require.Equal(t, 590*time.Second, since(start))
		require.NoError(t, s.Err())
	})
}

func TestAHandlerThatForgetsToCloseLeavesNothing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		go func() {
			for range s.Recv() {
				s.Put([]byte("answer"))
			}
		}()
		go peer.Write([]byte("question"))
		_, err := io.ReadFull(peer, make([]byte, len("answer")))
		require.NoError(t, err)
		start := time.Now()
		peer.CloseWrite()
		_, err = peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
		<-s.Done()
		require.Equal(t, time.Minute, since(start))
		requireTimeout(t, s.Err())
		require.ErrorContains(t, s.Err(), "HalfCloseTimeout")
	})
}

func TestAPeerThatEndedAndTakesNothingEndsTheSessionWithAnError(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		accepted := fill(t, s)
		start := time.Now()
		peer.CloseWrite()
		<-s.Done()
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
		requireTimeout(t, s.Err())
		requireAllIsCounted(t, s, accepted)
	})
}

func TestAPeerThatEndedAndTakesNothingOfAHubEndsTheSessionWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		s, peer := joinMem(t, h, nil)
		require.NoError(t, h.Multicast(message(0, 1000)))
		synctest.Wait()
		require.EqualValues(t, 1000, s.Stats().BytesPending)
		start := time.Now()
		peer.CloseWrite()
		<-s.Done()
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
		requireTimeout(t, s.Err())
		requireAllIsCounted(t, s, 1000)
	})
}

func TestAPeerThatEndedAndTakesALongMessageSlowlyGetsAllOfIt(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		peer.CloseWrite()
		want := noise(1 << 20)
		require.NoError(t, s.Put(want))
		require.NoError(t, s.CloseWrite())
		got := readSlowly(t, peer, recordBlockSize, 4*time.Second)
		require.True(t, bytes.Equal(want, got))
		<-s.Done()
		require.NoError(t, s.Err())
	})
}

// readSlowly reads size bytes after each pause, until the end.
func readSlowly(t *testing.T, peer net.Conn, size int, pause time.Duration) (all []byte) {
	t.Helper()
	for {
		<-time.After(pause)
		b := make([]byte, size)
		n, err := io.ReadFull(peer, b)
		all = append(all, b[:n]...)
		if err != nil {
			require.True(t, err == io.EOF || err == io.ErrUnexpectedEOF, err)
			return all
		}
	}
}

func TestWriteTimeoutEndsASessionWhosePeerTakesNothing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, _ := memSession(t, &o)
		start := time.Now()
		accepted := fill(t, s)
		require.ErrorIs(t, s.Put([]byte("x")), ErrClosed, "it waited for room")
		require.Equal(t, 10*time.Second, since(start))
		<-s.Done()
		requireTimeout(t, s.Err())
		require.ErrorContains(t, s.Err(), "WriteTimeout")
		require.Equal(t, s.Err(), context.Cause(s.Context()))
		requireAllIsCounted(t, s, accepted)
	})
}

func TestWriteTimeoutStartsAnewWithProgress(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		want := noise(1 << 20)
		closed := make(chan error)
		go func() {
			s.Put(want)
			s.Flush(context.Background())
			closed <- s.Close()
		}()
		got := readSlowly(t, peer, recordBlockSize, 9*time.Second)
		require.True(t, bytes.Equal(want, got))
		peer.CloseWrite()
		require.NoError(t, <-closed)
	})
}

func TestWriteTimeoutIsAboutWaitingOnly(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		s, peer := memSession(t, &o)
		go io.Copy(io.Discard, peer)
		for range 10 {
			require.NoError(t, s.Put([]byte("x")))
			require.NoError(t, s.Flush(t.Context()))
			<-time.After(time.Minute)
		}
		require.NoError(t, s.Err())
	})
}

func TestIdleTimeoutIsExact(t *testing.T) {
	for _, test := range []struct {
		name string
		use  func(s *Session, peer *memConn) // every 40 seconds, ten times
		want time.Duration                   // after the last use
	}{
		{"nothing happens", func(*Session, *memConn) {}, 0},
		{"received bytes are activity", func(_ *Session, peer *memConn) { peer.Write([]byte("x")) }, 400 * time.Second},
		{"written bytes are none", func(s *Session, _ *memConn) { s.Put([]byte("x")) }, 0},
		{"calls are none", func(s *Session, _ *memConn) { s.Flush(context.Background()); s.Send(); s.Stats() }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o Options) {
				o.IdleTimeout = time.Minute
				s, peer := memSession(t, &o)
				go io.Copy(io.Discard, peer)
				go func() {
					for range s.Recv() {
					}
				}()
				start := time.Now()
				go func() {
					for range 10 {
						select {
						case <-time.After(40 * time.Second):
							test.use(s, peer)
						case <-s.Done():
						}
					}
				}()
				<-s.Done()
				require.Equal(t, test.want+time.Minute, since(start))
				requireTimeout(t, s.Err())
				require.ErrorContains(t, s.Err(), "IdleTimeout")
			})
		})
	}
}

func TestAfterThePeersEndALongMessageThatIsTakenSlowlyIsProgress(t *testing.T) {
	eachQueue(t, func(t *testing.T, o Options) {
		o.IdleTimeout = time.Second // nothing can be received any more
		o.HalfCloseTimeout = 6 * time.Second
		s, peer := memSession(t, &o)
		want := noise(1 << 20)
		peer.CloseWrite()
		synctest.Wait()
		require.NoError(t, s.Put(want))
		require.NoError(t, s.CloseWrite())
		require.True(t, bytes.Equal(want, readSlowly(t, peer, recordBlockSize, 5*time.Second)))
		<-s.Done()
		require.NoError(t, s.Err())
	})
}

func TestAStreamHasNoIdleTimeoutUnlessAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, nil)
		<-time.After(1000 * time.Hour)
		require.NoError(t, s.Err())
		require.False(t, isClosed(s.Done()))
	})
}

func TestSmallTimeoutsEndASessionOnce(t *testing.T) {
	// The timers race with the start, the end and each other.
	o := &Options{IdleTimeout: 1, WriteTimeout: 1, CloseTimeout: 1}
	for range 500 {
		a, peer := net.Pipe()
		s := NewSession(t.Context(), a, o)
		go s.Put([]byte("x"))
		go s.Close()
		awaitDone(t, s)
		peer.Close()
	}
}

func TestAPeerThatResetsWhileTheHandlerSends(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			a, peer := socketPair(t, "tcp")
			s := NewSession(t.Context(), a, &q.o)
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
		s := NewSession(t.Context(), a, nil)
		require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
		require.NoError(t, peer.Close())
		_, ok := await(t, s.Recv(), "Recv")
		require.False(t, ok)
		require.ErrorIs(t, s.Err(), errReset)
		awaitDone(t, s)
	}
}

func TestWhoeverEndsASessionAtTheSameTimeItEndsOnce(t *testing.T) {
	ends := []func(s *Session, peer net.Conn, cancel func()){
		func(s *Session, _ net.Conn, _ func()) { s.Close() },
		func(s *Session, _ net.Conn, _ func()) { s.CloseWrite() },
		func(s *Session, _ net.Conn, _ func()) { s.Abort(nil) },
		func(s *Session, _ net.Conn, _ func()) { s.Abort(errTest) },
		func(_ *Session, _ net.Conn, cancel func()) { cancel() },
		func(_ *Session, peer net.Conn, _ func()) { peer.Close() },
		func(s *Session, _ net.Conn, _ func()) { s.Flush(context.Background()) },
		func(s *Session, _ net.Conn, _ func()) { s.halt() },
		func(s *Session, _ net.Conn, _ func()) { s.beginClose() },
		func(s *Session, _ net.Conn, _ func()) { <-s.Context().Done() },
		func(s *Session, peer net.Conn, _ func()) {
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
					s := NewSession(ctx, a, &o)
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
						s.Abort(nil) // in case nobody else ends it
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
