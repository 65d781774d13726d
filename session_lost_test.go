package chanio_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/chaniotest"
)

func TestCloseReportsALossHoweverTheSessionEnded(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s *chanio.Session, cancel context.CancelCauseFunc)
	}{
		{"Abort", func(s *chanio.Session, _ context.CancelCauseFunc) { s.Abort(errTest) }},
		{"the context", func(_ *chanio.Session, cancel context.CancelCauseFunc) { cancel(errTest) }},
		{"CloseWrite, and Abort", func(s *chanio.Session, _ context.CancelCauseFunc) {
			s.CloseWrite()
			s.Abort(errTest)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				a, peer := memPair()
				defer peer.Close()
				s := chanio.NewSession(ctx, a, &o)
				accepted := fill(t, s)
				test.end(s, cancel)
				<-s.Done()
				require.Equal(t, accepted, s.Stats().Undelivered)
				require.Equal(t, errTest, s.Close())
				require.ErrorIs(t, s.Flush(t.Context()), chanio.ErrClosed)
			})
		})
	}
}

func TestCloseIsNoErrorIfWhatEndedTheSessionBeforeLostNothing(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		s, peer := memSession(t, &o)
		go io.Copy(io.Discard, peer)
		require.NoError(t, s.Put([]byte("x")))
		require.NoError(t, s.Flush(t.Context()))
		s.Abort(errTest)
		<-s.Done()
		require.NoError(t, s.Close())
	})
}

func TestMessagesReceivedCountsOnlyReceivableMessages(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.Framing = chanio.Lines{}
				s, peer := memSession(t, &o)
				count := countMessages(s, form)
				go func() { peer.Write(bytes.Repeat([]byte("line\n"), 1000)) }()
				synctest.Wait() // Recv is full, and the reader waits
				s.Abort(nil)
				<-s.Done()
				require.EqualValues(t, count(), s.Stats().MessagesReceived)
			})
		})
	}
}

// countMessages asks s for its messages in that form, and returns a function
// that counts the remaining ones.
func countMessages(s *chanio.Session, form string) func() int {
	if form == "messages" {
		recv := s.Recv()
		return func() (n int) {
			for range recv {
				n++
			}
			return n
		}
	}
	recv := s.RecvBatch()
	return func() (n int) {
		for b := range recv {
			n += b.Len()
		}
		return n
	}
}

// A brokenOutput is a connection that cannot be written to, and that its peer
// keeps open.
type brokenOutput struct{ *chaniotest.Conn }

func (brokenOutput) Write([]byte) (int, error) { return 0, errUnwritable }

var errUnwritable = errors.New("broken")

func TestASessionThatCannotSendStillEndsIdle(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		o.IdleTimeout, o.CloseTimeout = time.Minute, -1
		a, peer := memPair()
		defer peer.Close()
		s := chanio.NewSession(t.Context(), brokenOutput{a}, &o)
		start := time.Now()
		s.Put([]byte("x"))
		<-s.Done()
		require.Equal(t, time.Minute, since(start))
	})
}

// A lateRead is a connection whose read returns data once the connection is
// closed.
type lateRead struct {
	*chaniotest.Conn
	closed chan struct{}
	once   sync.Once
	reads  atomic.Int32
}

func (c *lateRead) Read(p []byte) (int, error) {
	<-c.closed
	if c.reads.Add(1) > 1 {
		return 0, net.ErrClosed
	}
	return copy(p, "late"), nil
}

func (c *lateRead) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// The end of the context drains the input while the reader may be reading, too.
func TestNothingIsDeliveredThatWasReadAfterTheEnd(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				a, peer := memPair()
				defer peer.Close()
				ctx, cancel := context.WithCancelCause(context.Background())
				s := chanio.NewSession(ctx, &lateRead{Conn: a, closed: make(chan struct{})}, &o)
				got := make(chan int, 1)
				count := countMessages(s, form)
				go func() { got <- count() }()
				synctest.Wait()
				cancel(errTest)
				require.Zero(t, <-got)
				<-s.Done()
				require.Zero(t, s.Stats().MessagesReceived)
			})
		})
	}
}
