//go:build unix

package soak

import (
	"context"
	"math/rand/v2"

	"example.com/chanio"
)

// A voice sends messages in one order by all forms of sending. Between Send and
// SendBatch there is no order, so it flushes where it changes from one to the
// other.
type voice struct {
	s       *chanio.Session
	rng     *rand.Rand
	batches bool // it sends batches too
	last    bool // the last message was sent as a batch
	unsure  bool // a channel took a message, perhaps too late
}

// say sends m, and reports whether it was accepted.
func (v *voice) say(ctx context.Context, m []byte) bool {
	batch := v.batches && v.rng.IntN(4) == 0
	if batch != v.last && v.s.Flush(ctx) != nil {
		return false
	}
	v.last = batch
	if batch {
		b := chanio.NewBatch()
		b.Append(m)
		return v.s.PutBatch(b) == nil
	}
	switch form := v.rng.IntN(3); {
	case v.batches && form == 0:
		_, err := v.s.Write(m)
		return err == nil
	case v.batches && form == 1:
		select {
		case v.s.Send() <- m:
			v.unsure = v.unsure || v.s.Context().Err() != nil
			return true
		case <-v.s.Done():
			return false
		}
	}
	return v.s.Put(m) == nil
}

// hearAll calls f for each message that s receives, in either form, until f is
// done.
func hearAll(s *chanio.Session, batches bool, f func(m []byte) (done bool)) {
	if !batches {
		for m := range s.Recv() {
			if f(m) {
				return
			}
		}
		return
	}
	for b := range s.RecvBatch() {
		for _, m := range b.All() {
			if f(m) {
				return
			}
		}
		b.Release()
	}
}
