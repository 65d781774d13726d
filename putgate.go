package chanio

import "sync/atomic"

// A putGate counts the Puts that are inside and, once it is shut, lets no more
// in: whoever waits until they are gone misses nothing that they accepted.
type putGate struct {
	inside atomic.Int64  // Puts, and gateBar once the gate is shut
	empty  chan struct{} // closed when the gate is shut and nobody is inside
}

// gateBar is the bit of putGate.inside that refuses further Puts.
const gateBar = 1 << 62

func newPutGate() putGate { return putGate{empty: make(chan struct{})} }

// enter lets a Put in, which has to leave, unless the gate is shut.
func (g *putGate) enter() bool {
	for {
		n := g.inside.Load()
		if n&gateBar != 0 {
			return false
		}
		if g.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *putGate) leave() {
	if g.inside.Add(-1) == gateBar {
		close(g.empty)
	}
}

// shut is to be called once.
func (g *putGate) shut() {
	if g.inside.Or(gateBar) == 0 {
		close(g.empty)
	}
}
