package load

import (
	"slices"
	"time"
)

// A flight is what a client has sent and not yet received back: bursts of
// messages with their send times, oldest first. Answers come in order.
type flight struct {
	bursts []burst
	landed int // bursts, the first
}

type burst struct {
	messages int
	sent     time.Time
}

// push adds a burst of n messages sent at t.
func (f *flight) push(n int, t time.Time) {
	if 2*f.landed >= len(f.bursts) {
		f.bursts, f.landed = slices.Delete(f.bursts, 0, f.landed), 0
	}
	f.bursts = append(f.bursts, burst{n, t})
}

// pop removes the oldest n messages in flight. It calls landed for each burst,
// or part of one, with the number of messages and their send time.
func (f *flight) pop(n int, landed func(n int, sent time.Time)) {
	for n > 0 && f.landed < len(f.bursts) {
		b := &f.bursts[f.landed]
		k := min(n, b.messages)
		landed(k, b.sent)
		n -= k
		if b.messages -= k; b.messages == 0 {
			f.landed++
		}
	}
}
