package server

import "sync"

// A gate opens when enough members have connected, so that connecting does not
// have to compete with the multicast.
type gate struct {
	opened chan struct{} // closed by the last member awaited

	mu      sync.Mutex
	awaited int
}

func newGate(members int) *gate {
	return &gate{opened: make(chan struct{}), awaited: max(1, members)}
}

// enter counts a member in.
func (g *gate) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.awaited--; g.awaited == 0 {
		close(g.opened)
	}
}
