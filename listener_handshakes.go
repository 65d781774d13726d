package chanio

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"example.com/chanio/internal/byhost"
	"example.com/chanio/internal/readable"
)

// handshakes are a listener's connections that are not sessions yet because
// something must arrive from the peer first, and the resulting sessions that
// have not been received from Sessions. Each has a goroutine, which abort and
// wait wait for.
type handshakes struct {
	limit      int // on both together; 0: none
	goroutines sync.WaitGroup

	mu          sync.Mutex
	silent      byhost.Set[*handshake] // have sent nothing, as far as is known
	heard       byhost.Set[*handshake] // have sent something
	undelivered int
	begun       uint64 // how many have ever begun
}

// A handshake is ended early through its context, which a config's callbacks
// also see.
type handshake struct {
	cancel context.CancelCauseFunc
	conn   net.Conn
	socket syscall.RawConn // tells whether something arrived; nil if conn is not a socket
	from   netip.Addr      // owned by its goroutine after begin; may be unknown

	counted netip.Addr // whose place of MaxSessionsPerAddr it holds; owned by its goroutine

	// Guarded by handshakes.mu.
	number uint64                     // higher for later ones
	place  *byhost.Member[*handshake] // nil if it is over or was evicted
	spoken bool                       // it is in heard
}

// begin admits one more, from an address that may be unknown. At the limit it
// evicts another. If undelivered sessions hold most of the places, it returns
// false: there is no place until one is received.
func (h *handshakes) begin(one *handshake, from netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	running := h.running()
	if h.limit > 0 && running+h.undelivered >= h.limit {
		if running <= h.undelivered {
			return false
		}
		h.evict()
	}
	h.begun++
	one.number = h.begun
	one.place = h.silent.Add(from, one)
	return true
}

// running returns the number of handshakes. The caller holds mu.
func (h *handshakes) running() int { return h.silent.Len() + h.heard.Len() }

// One in minSilent handshakes must be silent for a silent one to be evicted.
// Every connection is silent for a moment, and if only few are, they are not
// the flood.
const minSilent = 4 // one in this many

// evict ends one handshake: one that has sent nothing, picked at random from
// the address that has most of those. The caller holds mu.
//
// Dropping the oldest would favor a flood, since honest clients take longer
// than those that only connect. So would dropping the newest.
func (h *handshakes) evict() {
	for h.silent.Len()*minSilent >= h.running() && h.silent.Len() > 0 {
		one := h.pickSilent()
		if one.socket == nil || !readable.Now(one.socket) {
			h.drop(one, "had sent nothing")
			return
		}
		from := one.place.From() // its goroutine has not seen the input yet
		h.remove(one)
		one.place, one.spoken = h.heard.Add(from, one), true
	}
	h.drop(h.heard.Pick().Value, "was not done")
}

// silentPicks is how many silent handshakes are picked at random, of which the
// oldest is evicted: every client is silent for part of a round trip at first.
// A client that is silent for t, behind the same address as a flood of r
// connections a second, survives with a probability of 0.94 if t*r is half of
// MaxHandshakes, and of 0.998 if it is a fifth; with one pick it would be 0.61
// and 0.82.
const silentPicks = 4

// pickSilent picks a silent handshake to evict. The caller holds mu.
func (h *handshakes) pickSilent() *handshake {
	oldest := h.silent.Pick().Value
	for range silentPicks - 1 {
		if one := h.silent.Pick().Value; one.number < oldest.number {
			oldest = one
		}
	}
	return oldest
}

// drop ends a handshake in favor of another. The caller holds mu.
func (h *handshakes) drop(one *handshake, state string) {
	h.remove(one)
	one.cancel(fmt.Errorf("dropped: it %s when MaxHandshakes = %d was exceeded", state, h.limit))
}

// remove removes one if it is still in. The caller holds mu.
func (h *handshakes) remove(one *handshake) bool {
	switch {
	case one.place == nil:
		return false
	case one.spoken:
		h.heard.Remove(one.place)
	default:
		h.silent.Remove(one.place)
	}
	one.place = nil
	return true
}

// hear records that the peer of one, at that address, has sent something.
func (h *handshakes) hear(one *handshake, from netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.remove(one) {
		one.place, one.spoken = h.heard.Add(from, one), true
	}
}

// locate records the address of a silent handshake.
func (h *handshakes) locate(one *handshake, from netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !one.spoken && h.remove(one) {
		one.place = h.silent.Add(from, one)
	}
}

// end records that a handshake is over. It returns false if it had been
// evicted. delivering says that its session is about to be delivered.
func (h *handshakes) end(one *handshake, delivering bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.remove(one) {
		return false
	}
	if delivering {
		h.undelivered++
	}
	return true
}

// delivered records that a session was received or dropped.
func (h *handshakes) delivered() {
	h.mu.Lock()
	h.undelivered--
	h.mu.Unlock()
}

// alone reports whether there is at most one handshake and nothing is
// undelivered.
func (h *handshakes) alone() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running() <= 1 && h.undelivered == 0
}

// abort ends all handshakes and waits for their goroutines. Those that are
// delivering see the listener's quit.
func (h *handshakes) abort() {
	h.mu.Lock()
	for h.running() > 0 {
		one := h.any()
		h.remove(one)
		one.cancel(ErrClosed)
	}
	h.mu.Unlock()
	h.goroutines.Wait()
}

// any returns one of the handshakes. The caller holds mu.
func (h *handshakes) any() *handshake {
	if h.silent.Len() > 0 {
		return h.silent.Pick().Value
	}
	return h.heard.Pick().Value
}
