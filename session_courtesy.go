package chanio

import "runtime"

// A courtesy decides whether the reader yields to the receiver of what it has
// just delivered. A peer that has more to send than one read takes has often
// sent more by the time the answer is written, and a read that finds data avoids
// a wait in the poller, which costs more than the read. So the reader yields as
// long as its next reads find data. Once one does not, it tries again after ever
// more deliveries.
type courtesy struct {
	shown bool // the reader yielded after the last delivery
	skip  int  // how many deliveries to go without
	pause int  // how many those were after the last failure
}

// rarest is the most deliveries until it is tried again.
const rarest = 255

// delivered is called between a delivery of what was read from t and the next read.
func (c *courtesy) delivered(t *stream) {
	if t.raw == nil {
		return // reading through package net does not tell whether it waited
	}
	if c.shown {
		if t.raw.waited {
			c.pause = min(2*c.pause+1, rarest)
			c.skip = c.pause
		} else {
			c.pause = 0
		}
	}
	c.shown = c.skip == 0
	if !c.shown {
		c.skip--
		return
	}
	runtime.Gosched()
}
