package chanio_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestAShutdownListenerWithAnExpiredContextAborts(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		ln.dial()
		s := <-l.Sessions()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, l.Shutdown(ctx))
		require.Equal(t, time.Second, since(start), "whatever CloseTimeout says")
		require.True(t, isClosed(l.Done()))
		require.ErrorIs(t, s.Err(), chanio.ErrClosed)
		require.NoError(t, l.Err())
		require.NoError(t, l.Shutdown(ctx), "all is gone already")
	})
}

func TestShutdownWithAContextThatHasEndedReturnsAtOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		var answered atomic.Int32
		handled := serveEach(l, func(s *chanio.Session) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		peer := ln.dial()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Zero(t, since(start))
		_, err := peer.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.EqualValues(t, 1, l.Stats().Accepted)
	})
}

func TestShutdownDeliversEverythingToASlowReader(t *testing.T) {
	want := noise(8 << 20)
	for _, way := range listeners {
		for _, q := range queues {
			t.Run(way.name+"/"+q.name, func(t *testing.T) {
				o := q.o
				o.CloseTimeout, o.WriteTimeout = patience, patience
				l := way.listen(t, t.Context(), &o)
				answering := make(chan struct{})
				handled := serveEach(l, func(s *chanio.Session) {
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
				await(t, l.Quit(), "the beginning of Shutdown") // and nothing was read yet
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
	eachListener(t, func(t *testing.T, l *chanio.Listener) {
		var ready sync.WaitGroup
		handled := serveEach(l, func(s *chanio.Session) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		l, ln := serveMem(t, &o)
		ln.dial()
		s := <-l.Sessions()
		time.AfterFunc(time.Second, func() { l.Close() })
		start := time.Now()
		require.NoError(t, l.Shutdown(context.Background()))
		require.Equal(t, time.Second, since(start))
		require.ErrorIs(t, s.Err(), chanio.ErrClosed)
	})
}
