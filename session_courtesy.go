package chanio

import "runtime"

// A courtesy is the reader's, of letting who receives what it has delivered go first.
// A peer that has more to send than one read takes at a time has often sent more when
// the answer is written, and a read that finds something is spared a wait in the
// poller, which costs more than the read. So the reader is courteous as long as its
// next reads find something, and tries again after ever more deliveries if not.
type courtesy struct {
	shown bool // after the last delivery
	skip  int  // after how many deliveries it is not
	pause int  // how many that were after the last failure
}

// rarest is after how many deliveries it is tried again at the latest.
const rarest = 255

// delivered is called between a delivery of what was read from t and the next read.
func (c *courtesy) delivered(t *stream) {
	if t.raw == nil {
		return // reading by package net does not tell
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
