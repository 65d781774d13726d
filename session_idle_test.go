package chanio_test

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestASessionThatSendsNothingHasNoQueueForIt(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := chanio.NewSession(t.Context(), near, nil)
	require.False(t, s.HasSendQueue())
	s.Abort(nil)
	<-s.Done()
	require.False(t, s.HasSendQueue())
}

func TestSendOfASessionThatHasEndedCanBeClosed(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := chanio.NewSession(t.Context(), near, nil)
	s.Abort(nil)
	<-s.Done()
	close(s.Send())
	close(s.SendBatch())
}

func TestIdleTimeoutCountsFromWhenTheLastMessageWasReceived(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.IdleTimeout, o.Framing = 8*time.Second, chanio.Lines{}
				s, peer := memSession(t, &o)
				count := receiveOne(s, form)
				_, err := peer.Write([]byte("line\n"))
				require.NoError(t, err)
				<-time.After(60500 * time.Millisecond) // between two looks of the timer
				require.Equal(t, 1, count())
				start := time.Now()
				<-s.Done()
				requireTimeout(t, s.Err())
				require.GreaterOrEqual(t, since(start), 8*time.Second)
				require.LessOrEqual(t, since(start), 9*time.Second)
			})
		})
	}
}

// receiveOne asks s for its messages in that form, and returns a function that
// receives a message or a batch and returns how many messages that was.
func receiveOne(s *chanio.Session, form string) func() int {
	if form == "messages" {
		recv := s.Recv()
		return func() int {
			if _, ok := <-recv; !ok {
				return 0
			}
			return 1
		}
	}
	recv := s.RecvBatch()
	return func() int {
		b, ok := <-recv
		if !ok {
			return 0
		}
		defer b.Release()
		return b.Len()
	}
}
