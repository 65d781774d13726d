package chanio_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestFlushWaitsUntilTheKernelHasAllThatWasAcceptedBefore(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		require.NoError(t, s.Flush(t.Context()), "nothing was sent")
		s.Send()
		synctest.Wait() // the writer waits for work
		require.NoError(t, s.Put([]byte("one")))
		flushed := make(chan error)
		for range 3 {
			go func() { flushed <- s.Flush(context.Background()) }()
		}
		synctest.Wait()
		select {
		case <-flushed:
			require.FailNow(t, "nothing has been read yet")
		default:
		}
		require.Zero(t, s.Stats().BytesSent)
		_, err := io.ReadFull(peer, make([]byte, 3))
		require.NoError(t, err)
		for range 3 {
			require.NoError(t, <-flushed)
		}
		require.EqualValues(t, 3, s.Stats().BytesSent)
	})
}

func TestFlushIsNotHeldUpByWhatIsSentLater(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for s.Put(make([]byte, 1000)) == nil && !isClosed(stop) {
				}
			})
		}
		wg.Go(func() { io.Copy(io.Discard, peer) })
		for range 100 {
			require.NoError(t, s.Flush(t.Context()))
		}
		close(stop)
		s.Abort(nil)
		wg.Wait()
	})
}

func TestFlushMeansThatBytesSentIsExact(t *testing.T) {
	eachPair(t, func(t *testing.T, s *chanio.Session, peer net.Conn) {
		go io.Copy(io.Discard, peer)
		sent := 0
		for i := range 200 {
			for range i % 4 {
				require.NoError(t, s.Put(make([]byte, i*i)))
				sent += i * i
			}
			require.NoError(t, s.Flush(t.Context()))
			require.EqualValues(t, sent, s.Stats().BytesSent)
			require.Zero(t, s.Stats().BytesPending)
		}
	})
}

func TestFlushReturnsTheErrorOfItsContext(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.WriteTimeout = -1
		s, peer := memSession(t, &o)
		require.NoError(t, s.Put([]byte("x")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, s.Flush(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		require.Zero(t, s.Flushes(), "nothing is kept for a Flush that gave up")

		go io.Copy(io.Discard, peer)
		require.NoError(t, s.Flush(t.Context()), "the session goes on")
	})
}

func TestFlushHeedsItsContextWhileTheSessionEnds(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		a, b := net.Pipe()
		defer b.Close()
		conn := stuckClose{a, make(chan struct{})}
		s := chanio.NewSession(t.Context(), conn, &o)
		require.NoError(t, s.Put([]byte("x")))
		go s.Abort(nil)
		synctest.Wait()
		require.ErrorIs(t, s.Context().Err(), context.Canceled, "it has ended, but for its connection")

		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, s.Flush(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		close(conn.release)
		<-s.Done()
		require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
	})
}

func TestFlushSaysThatTheSessionEndedWithSomethingUndelivered(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, _ := memSession(t, &o)
		require.NoError(t, s.Put([]byte("x")))
		flushed := make(chan error)
		go func() { flushed <- s.Flush(context.Background()) }()
		synctest.Wait()
		s.Abort(nil)
		require.ErrorIs(t, <-flushed, chanio.ErrClosed)
		require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
	})
}
