package chanio_test

import (
	"net"
	"testing"
	"testing/synctest"
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

// The timer sees a message in Recv however shortly before the timeout the user
// receives it, and whether or not the timer has looked before.
func TestAMessageReceivedJustBeforeIdleTimeoutStartsItAgain(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.IdleTimeout, o.Framing = 8*time.Second, chanio.Lines{}
				s, peer := memSession(t, &o)
				count := receiveOne(s, form)
				for range 3 {
					_, err := peer.Write([]byte("line\n"))
					require.NoError(t, err)
					<-time.After(7500 * time.Millisecond)
					require.Equal(t, 1, count())
					<-time.After(7500 * time.Millisecond)
					require.NoError(t, s.Err(), "the peer waited for the handler for half of that")
				}
				start := time.Now()
				<-s.Done()
				requireTimeout(t, s.Err())
				require.LessOrEqual(t, since(start), 1500*time.Millisecond)
			})
		})
	}
}

// slowLines are lines that take long to find.
type slowLines struct{ chanio.Lines }

func (l slowLines) Next(buf []byte, limit int) ([]byte, int, error) {
	<-time.After(1500 * time.Millisecond)
	return l.Lines.Next(buf, limit)
}

func TestAMessageThatTookLongToFrameIsSeenByIdleTimeout(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			eachQueue(t, func(t *testing.T, o chanio.Options) {
				o.IdleTimeout, o.Framing = 8*time.Second, slowLines{}
				s, peer := memSession(t, &o)
				count := receiveOne(s, form)
				_, err := peer.Write([]byte("line\n"))
				require.NoError(t, err)
				<-time.After(7500 * time.Millisecond)
				require.Equal(t, 1, count())
				<-time.After(7 * time.Second)
				require.NoError(t, s.Err(), "the peer waited for the handler for half of that")
				<-s.Done()
				requireTimeout(t, s.Err())
			})
		})
	}
}

func TestIdleTimeoutIsExactAfterAMessageThatWaitedForTheUser(t *testing.T) {
	for _, form := range []string{"messages", "batches"} {
		t.Run(form, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, peer := memSession(t, &chanio.Options{RecvQueue: -1, IdleTimeout: 8 * time.Second})
				count := receiveOne(s, form)
				_, err := peer.Write([]byte("message"))
				require.NoError(t, err)
				<-time.After(500 * time.Millisecond) // less than until the timer looks
				require.Equal(t, 1, count())
				start := time.Now()
				<-s.Done()
				requireTimeout(t, s.Err())
				require.Equal(t, 8*time.Second, since(start))
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
