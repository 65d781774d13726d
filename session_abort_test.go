package chanio_test

import (
	"context"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

func TestAbortEndsAtOnce(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
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
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		ctx, cancel := context.WithCancelCause(context.Background())
		a, peer := memPair()
		defer peer.Close()
		s := chanio.NewSession(ctx, a, &o)
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
		s := chanio.NewSession(ctx, a, nil)
		start := time.Now()
		<-s.Done()
		require.Equal(t, time.Minute, since(start))
		require.Equal(t, context.DeadlineExceeded, s.Err())
	})
}

func TestTCPIsResetByAbortAndByACloseThatRanOut(t *testing.T) {
	for _, test := range []struct {
		name  string
		o     chanio.Options
		end   func(s *chanio.Session, cancel func())
		reset bool
	}{
		{"Abort", chanio.Options{}, func(s *chanio.Session, _ func()) { s.Abort(nil) }, true},
		{"a Close that ran out", chanio.Options{CloseTimeout: 50 * time.Millisecond, SendQueue: 8}, func(s *chanio.Session, _ func()) {
			for range 64 {
				s.PutUnless(make([]byte, 1<<20), closedChan())
			}
			s.Close()
		}, true},
		{"the context", chanio.Options{}, func(_ *chanio.Session, cancel func()) { cancel() }, false},
		{"Close", chanio.Options{}, func(s *chanio.Session, _ func()) { s.Close() }, false},
		{"IdleTimeout", chanio.Options{IdleTimeout: 1}, func(*chanio.Session, func()) {}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, peer := socketPair(t, "tcp")
			defer peer.Close()
			require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := chanio.NewSession(ctx, a, &test.o)
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

// refilling is a connection on which a bare sender has filled Send again by the
// time each write returns.
type refilling struct {
	*chaniotest.Conn
	send    chan<- []byte // nil until the session is made
	refills atomic.Int32  // how many more there are
}

func (c *refilling) Write(p []byte) (int, error) {
	if c.refills.Add(-1) >= 0 {
		for range cap(c.send) - len(c.send) {
			c.send <- []byte("more")
		}
	}
	return c.Conn.Write(p)
}

func TestABareSenderDoesNotKeepTheOutputFromEnding(t *testing.T) {
	const refills = 1 << 20 // more than there are before the test comes to end it
	for _, way := range []struct {
		name string
		end  func(s *chanio.Session) error
	}{{"CloseWrite", (*chanio.Session).CloseWrite}, {"Close", (*chanio.Session).Close}} {
		for _, queue := range []int{1, 128} {
			t.Run(way.name+", SendQueue "+strconv.Itoa(queue), func(t *testing.T) {
				peer, b := memPair()
				conn := &refilling{Conn: b}
				conn.refills.Store(refills)
				s := chanio.NewSession(t.Context(), conn, &chanio.Options{SendQueue: queue})
				defer s.Close()
				conn.send = s.Send()
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
