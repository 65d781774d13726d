package load

import "time"

// A flight is what a client has sent and not yet received back: bursts of
// messages with their send times, oldest first. Answers come in order.
type flight struct {
	bursts []burst // a ring
	first  int     // the oldest
	len    int
}

type burst struct {
	messages int
	sent     time.Time
}

// push adds a burst of n messages sent at t.
func (f *flight) push(n int, t time.Time) {
	if f.len == len(f.bursts) {
		f.grow()
	}
	f.bursts[(f.first+f.len)%len(f.bursts)] = burst{n, t}
	f.len++
}

func (f *flight) grow() {
	bursts := make([]burst, max(4, 2*len(f.bursts)))
	for i := range f.len {
		bursts[i] = f.bursts[(f.first+i)%len(f.bursts)]
	}
	f.bursts, f.first = bursts, 0
}

// pop removes the oldest n messages in flight. It calls landed for each burst,
// or part of one, with the number of messages and their send time.
func (f *flight) pop(n int, landed func(n int, sent time.Time)) {
	for n > 0 && f.len > 0 {
		b := &f.bursts[f.first]
		k := min(n, b.messages)
		landed(k, b.sent)
		n -= k
		if b.messages -= k; b.messages == 0 {
			f.first = (f.first + 1) % len(f.bursts)
			f.len--
		}
	}
}
