package chanio

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A silentFraming is a framing with state that does not look at what comes.
type silentFraming struct{ Lines }

func (silentFraming) Accepts([]byte) error   { return nil }
func (silentFraming) NewReader() FrameReader { return struct{ FrameReader }{} }

// A writer that waits for a message and for the wake-up that comes with a reply
// may find both, and take the message.
func TestRepliesGoOutAheadOfWhatTheWaitingWriterReceives(t *testing.T) {
	for _, form := range []string{"a message", "a batch"} {
		t.Run(form, func(t *testing.T) {
			set := &settings{Options: Options{SendQueue: 1}, codec: sessionCodec{silentFraming{}}, began: time.Now()}
			s := newSession(t.Context(), noTransport{}, set, nil)
			o := s.writing()
			o.send, o.sendBatch, o.wake = make(chan []byte, 1), make(chan *Batch, 1), make(chan struct{}, 1)
			if form == "a message" {
				o.send <- []byte("message")
			} else {
				b := NewBatch()
				b.Append([]byte("message"))
				o.sendBatch <- b
			}
			s.framed.replies = []byte("reply\n") // the wake-up is not taken
			s.framed.owes.Store(true)
			o.turn.Lock()
			s.awaitWork(o)
			require.Equal(t, "reply\nmessage\n", string(slices.Concat(o.batch.parts...)))
		})
	}
}
