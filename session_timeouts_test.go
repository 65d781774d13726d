package chanio_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

func TestWriteTimeoutEndsASessionWhosePeerTakesNothing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, _ := memSession(t, &o)
		start := time.Now()
		accepted := fill(t, s)
		require.ErrorIs(t, s.Put([]byte("x")), chanio.ErrClosed, "it waited for room")
		require.Equal(t, 10*time.Second, since(start))
		<-s.Done()
		requireTimeout(t, s.Err())
		require.ErrorContains(t, s.Err(), "WriteTimeout")
		require.Equal(t, s.Err(), context.Cause(s.Context()))
		requireAllIsCounted(t, s, accepted)
	})
}

func TestProgressRenewsWriteTimeout(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		want := noise(1 << 20)
		closed := make(chan error)
		go func() {
			s.Put(want)
			s.Flush(context.Background())
			closed <- s.Close()
		}()
		got := readSlowly(t, peer, chanio.RecordBlockSize, 9*time.Second)
		require.True(t, bytes.Equal(want, got))
		peer.CloseWrite()
		require.NoError(t, <-closed)
	})
}

func TestWriteTimeoutCountsOnlyWaiting(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
		use  func(s *chanio.Session, peer *chaniotest.Conn) // every 40 seconds, ten times
		want time.Duration                                  // after the last use
	}{
		{"nothing happens", func(*chanio.Session, *chaniotest.Conn) {}, 0},
		{"received bytes are activity", func(_ *chanio.Session, peer *chaniotest.Conn) { peer.Write([]byte("x")) }, 400 * time.Second},
		{"written bytes are none", func(s *chanio.Session, _ *chaniotest.Conn) { s.Put([]byte("x")) }, 0},
		{"calls are none", func(s *chanio.Session, _ *chaniotest.Conn) { s.Flush(context.Background()); s.Send(); s.Stats() }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.IdleTimeout = time.Second // nothing can be received any more
		o.HalfCloseTimeout = 6 * time.Second
		s, peer := memSession(t, &o)
		want := noise(1 << 20)
		peer.CloseWrite()
		synctest.Wait()
		require.NoError(t, s.Put(want))
		require.NoError(t, s.CloseWrite())
		require.True(t, bytes.Equal(want, readSlowly(t, peer, chanio.RecordBlockSize, 5*time.Second)))
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
	// The timers race with the start, with the end and with each other.
	o := &chanio.Options{IdleTimeout: 1, WriteTimeout: 1, CloseTimeout: 1}
	for range 500 {
		a, peer := net.Pipe()
		s := chanio.NewSession(t.Context(), a, o)
		go s.Put([]byte("x"))
		go s.Close()
		awaitDone(t, s)
		peer.Close()
	}
}
