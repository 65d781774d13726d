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

// handshakes are the connections of a listener that are not sessions yet,
// because something has to come from the peer first, and the sessions that came
// of them and wait to be received from Sessions. Each has a goroutine, which
// abort and wait wait for.
type handshakes struct {
	limit      int // of both together; 0: none
	goroutines sync.WaitGroup

	mu          sync.Mutex
	silent      byhost.Set[*handshake] // those that have sent nothing, as far as is known
	heard       byhost.Set[*handshake] // those that have
	undelivered int
	begun       uint64 // how many have begun, ever
}

// A handshake is ended early by its context, which a config's callbacks see too.
type handshake struct {
	cancel context.CancelCauseFunc
	conn   net.Conn
	socket syscall.RawConn // tells whether something came; nil if conn is no socket
	from   netip.Addr      // its goroutine's, after begin; may be unknown

	// Guarded by handshakes.mu.
	number uint64                     // the later one began, the higher
	place  *byhost.Member[*handshake] // nil: it is over, or was evicted
	spoken bool                       // it is among the heard
}

// begin takes another one in, from an address that may be unknown. If that is
// one too many it evicts one. While sessions that nobody has received hold most
// of the places it reports false: there is no place before one is received.
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

// running returns how many handshakes there are. The caller holds mu.
func (h *handshakes) running() int { return h.silent.Len() + h.heard.Len() }

// minSilent is the part of the handshakes that must be silent for one of them to
// be evicted: every connection is silent for a moment, and where few are those
// are not the flood.
const minSilent = 4 // one in

// evict ends one handshake: one that has sent nothing, of the address that has
// the most of them, at random. The caller holds mu.
//
// Dropping the oldest would favour a flood, since those who mean well need longer
// than those who only connect; and so would dropping the newest.
func (h *handshakes) evict() {
	for h.silent.Len()*minSilent >= h.running() && h.silent.Len() > 0 {
		one := h.pickSilent()
		if one.socket == nil || !readable.Now(one.socket) {
			h.drop(one, "had sent nothing")
			return
		}
		from := one.place.From() // its goroutine has yet to see what came
		h.remove(one)
		one.place, one.spoken = h.heard.Add(from, one), true
	}
	h.drop(h.heard.Pick().Value, "was not done")
}

// silentPicks is how many silent handshakes are picked at random, of which the
// oldest is evicted: everybody is silent for a part of a round trip at first. A
// client that is silent for t, behind the same address as a flood of r connections
// a second, stays with a probability of 0.94 where t*r is half of MaxHandshakes,
// and of 0.998 where it is a fifth; of one pick it would be 0.61 and 0.82.
const silentPicks = 4

// pickSilent picks a silent handshake that is to go. The caller holds mu.
func (h *handshakes) pickSilent() *handshake {
	oldest := h.silent.Pick().Value
	for range silentPicks - 1 {
		if one := h.silent.Pick().Value; one.number < oldest.number {
			oldest = one
		}
	}
	return oldest
}

// drop ends a handshake for another one. The caller holds mu.
func (h *handshakes) drop(one *handshake, state string) {
	h.remove(one)
	one.cancel(fmt.Errorf("dropped: it %s when MaxHandshakes = %d was exceeded", state, h.limit))
}

// remove takes one out, if it is in. The caller holds mu.
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

// hear notes that the peer of one, which is at that address, has sent something.
func (h *handshakes) hear(one *handshake, from netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.remove(one) {
		one.place, one.spoken = h.heard.Add(from, one), true
	}
}

// locate notes where a silent one comes from.
func (h *handshakes) locate(one *handshake, from netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !one.spoken && h.remove(one) {
		one.place = h.silent.Add(from, one)
	}
}

// end notes that a handshake is over. It reports false if it was evicted before
// that. A session that came of it is to be delivered.
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

// delivered notes that a session was received, or dropped.
func (h *handshakes) delivered() {
	h.mu.Lock()
	h.undelivered--
	h.mu.Unlock()
}

// alone reports whether one is the only handshake, and nothing is undelivered.
func (h *handshakes) alone() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running() <= 1 && h.undelivered == 0
}

// abort ends all handshakes and waits for their goroutines. Those that deliver
// see the listener's quit themselves.
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
