package chanio_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

func TestCloseFlushesWhatWasAcceptedAndSendsTheEndOfStream(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, _ := memSession(t, &o)
		accepted := fill(t, s)
		start := time.Now()
		err := s.Close()
		require.Equal(t, 5*time.Second, since(start))
		requireTimeout(t, err)
		require.Equal(t, err, s.Err())
		require.Equal(t, err, s.Close(), "again")
		require.Equal(t, accepted, s.Stats().Undelivered)
		require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
		requireAllIsCounted(t, s, accepted)
	})
}

func TestCloseTimeoutIncludesTheWaitForThePeersEnd(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
		s, _ := memSession(t, &chanio.Options{CloseTimeout: 100 * time.Millisecond})
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, 100*time.Millisecond, since(start))
		require.NoError(t, s.Err())
	})
}

func TestCloseWithoutCloseTimeoutWaitsForTheWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, peer := memSession(t, &chanio.Options{CloseTimeout: -1, WriteTimeout: -1})
		require.NoError(t, s.Put([]byte("x")))
		time.AfterFunc(time.Hour, func() { peer.Read(make([]byte, 1)) })
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, time.Hour+500*time.Millisecond, since(start))
	})
	synctest.Test(t, func(t *testing.T) {
		s, _ := memSession(t, &chanio.Options{CloseTimeout: -1})
		require.NoError(t, s.Put([]byte("x")))
		start := time.Now()
		requireTimeout(t, s.Close())
		require.Equal(t, 10*time.Second, since(start), "WriteTimeout")
	})
}

func TestCloseAfterTheEndOfStreamWasSentStillWaitsForThePeers(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		require.NoError(t, s.CloseWrite())
		synctest.Wait()
		<-time.After(time.Hour)
		start := time.Now()
		time.AfterFunc(200*time.Millisecond, func() { peer.CloseWrite() })
		require.NoError(t, s.Close())
		require.Equal(t, 200*time.Millisecond, since(start))
	})
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, _ := memSession(t, &o)
		require.NoError(t, s.CloseWrite())
		synctest.Wait()
		start := time.Now()
		require.NoError(t, s.Close())
		require.Equal(t, 500*time.Millisecond, since(start), "but not for long")
	})
}

func TestAReadInterruptedByCloseIsNotAFailure(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		a, peer := memPair()
		defer peer.Close()
		conn := &slowDeadlines{Conn: a, release: make(chan struct{})}
		s := chanio.NewSession(context.Background(), conn, &o)
		go io.Copy(io.Discard, peer)
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait() // the read has failed, and the reader was not told why
		close(conn.release)
		require.NoError(t, <-closed)
		require.NoError(t, s.Err())
	})
}

// slowDeadlines is a connection whose reads fail before the call that makes
// them fail returns.
type slowDeadlines struct {
	*chaniotest.Conn
	release chan struct{}
}

func (c *slowDeadlines) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	if !t.IsZero() {
		<-c.release
	}
	return err
}

func TestACloseThatTimesOutWithAllWrittenIsClean(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		a, peer := memPair()
		defer peer.Close()
		conn := &slowCloseWrite{Conn: a, release: make(chan struct{})}
		s := chanio.NewSession(context.Background(), conn, &o)
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

// slowCloseWrite is a connection whose CloseWrite takes a while.
type slowCloseWrite struct {
	*chaniotest.Conn
	release chan struct{}
}

func (c *slowCloseWrite) CloseWrite() error {
	<-c.release
	return c.Conn.CloseWrite()
}

func TestCloseDropsWhatIsNotYetInRecv(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		const sent = 100
		go func() {
			for range sent {
				peer.Write([]byte("x"))
			}
			peer.CloseWrite()
		}()
		synctest.Wait() // Recv is full, and the reader has one more in hand
		waiting, room := s.Queued()
		require.Equal(t, room, waiting)
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
				s := chanio.NewSession(t.Context(), a, &q.o)
				want := noise(100_000)

				written := make(chan error, 1)
				go func() {
					_, err := peer.Write(make([]byte, 1<<20))
					peer.(halfCloser).CloseWrite()
					written <- err
				}()
				await(t, s.Recv(), "the first of the 1 MiB; the rest is not received")
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
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
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
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
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
