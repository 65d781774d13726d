package chanio

import (
	"fmt"
	"time"
)

// hubWaits are those who wait for members, and what runs for them, which is seldom.
type hubWaits struct {
	gate    gate // publishers
	watches []*hubWatch
	waker   chan struct{} // closed when the waker ends; nil while none runs

	// unused is called, once and without mu, when the last place is gone; nil but in
	// Rooms. The hub takes no member any more then: retired.
	unused  func()
	retired bool
}

// hubWaits returns waits. The caller holds mu.
func (h *Hub) hubWaits() *hubWaits {
	if h.waits == nil {
		h.waits = new(hubWaits)
	}
	return h.waits
}

// A gate holds publishers until members that are late have taken more. Each of
// those is gated and counted, so that a member in good time never looks at the
// others. Guarded by the hub's mu.
type gate struct {
	count  int         // gated members
	room   *gateRoom   // nil if nobody waits
	outrun bool        // LagDisconnect: it opens, too, when one member has caught up
	since  time.Time   // when room was made
	timer  *time.Timer // WriteTimeout of the members that make no progress
}

// A gateRoom is where publishers wait for the gate to open.
type gateRoom struct {
	open  chan struct{} // closed by openGate
	stuck bool          // it was opened because no member made progress for WriteTimeout
}

// await waits until those in late have room, and those in left have everything of
// their parts, one of them made no progress for WriteTimeout, or the hub is
// stopped. The caller holds mu, which it gives up meanwhile.
func (h *Hub) await(late []latecomer, left []*member) {
	for _, m := range left {
		_, weight := m.parted()
		h.shut(m, m.taken.Load()+weight)
	}
	slack := int64(0)
	for _, l := range late {
		// A little more than is needed, or publishers would wake for each message.
		slack = h.maxLag / 8
		h.shut(l.m, min(l.m.aim(), l.need+slack))
	}
	if slack > 0 { // and who is about to be late takes part
		for f := range h.feeds {
			for _, m := range f.places[:f.staying] {
				if m.lag() > h.maxLag-slack {
					h.shut(m, m.aim()-h.maxLag+slack)
				}
			}
		}
	}
	h.enter(false)
}

// awaitBest waits until one member has caught up, or those in late have room. It
// returns false if no member made progress for WriteTimeout. The caller holds mu,
// which it gives up meanwhile.
func (h *Hub) awaitBest(late []latecomer) bool {
	for f := range h.feeds {
		for _, m := range f.places[:f.staying] {
			m.waiting().need.Store(m.aim() - h.maxLag/4)
			if m.lag() <= h.maxLag/4 {
				return true
			}
		}
	}
	for _, l := range late {
		h.shut(l.m, min(l.m.aim(), l.need+h.maxLag/64))
	}
	return h.enter(true)
}

// enter waits until the gate opens, and returns false if that is because nobody
// made progress. The caller holds mu, which it gives up meanwhile.
func (h *Hub) enter(outrun bool) bool {
	gate := &h.hubWaits().gate
	if gate.count == 0 {
		return true
	}
	if gate.room == nil {
		gate.room = &gateRoom{open: make(chan struct{})}
		gate.since = time.Now()
		gate.outrun = outrun
		h.watchGate(h.writeTimeout)
	}
	room := gate.room
	h.mu.Unlock()
	<-room.open // by the last member that passes or leaves, the timer, and stop
	h.mu.Lock()
	return !room.stuck
}

// shut makes publishers wait until m has taken need, if it has not. The caller
// holds mu.
func (h *Hub) shut(m *member, need int64) {
	w := m.waiting()
	w.need.Store(need) // before taken is read: see member.took
	if m.taken.Load() >= need {
		w.need.Store(never)
		h.ungate(m)
		return
	}
	if !w.gated {
		w.gated = true
		h.hubWaits().gate.count++
	}
}

// pass lets m, which has taken more, through the gate.
func (h *Hub) pass(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := m.waits.Load()
	if w == nil || m.taken.Load() < w.need.Load() {
		return // somebody has set it anew
	}
	w.need.Store(never)
	if w.gated {
		h.ungate(m)
	} else {
		h.welcome()
	}
}

// welcome opens a gate that waits for one member to catch up: there is one. The
// caller holds mu.
func (h *Hub) welcome() {
	if h.waits != nil && h.waits.gate.outrun {
		h.openGate()
	}
}

// ungate makes publishers not wait for m. The caller holds mu.
func (h *Hub) ungate(m *member) {
	w := m.waits.Load()
	if w == nil || !w.gated {
		return
	}
	w.gated = false
	h.waits.gate.count--
	if h.waits.gate.count == 0 {
		h.openGate()
	}
}

// openGate lets all publishers look again. The caller holds mu.
func (h *Hub) openGate() {
	if h.waits == nil || h.waits.gate.room == nil {
		return
	}
	gate := &h.waits.gate
	close(gate.room.open)
	gate.room, gate.outrun = nil, false
	if gate.timer != nil {
		gate.timer.Stop()
	}
	if gate.count == 0 {
		return
	}
	for f := range h.feeds {
		for _, m := range f.places {
			if w := m.waits.Load(); w != nil {
				w.gated = false
			}
		}
	}
	gate.count = 0
}

// watchGate sets the watch over those that publishers wait for. Their writers
// watch over them too, by their sessions' WriteTimeout; this is for sessions
// whose WriteTimeout is longer, or none. The caller holds mu.
func (h *Hub) watchGate(d time.Duration) {
	switch {
	case h.writeTimeout <= 0:
	case h.waits.gate.timer == nil:
		h.waits.gate.timer = time.AfterFunc(d, h.gateExpired)
	default:
		h.waits.gate.timer.Reset(d)
	}
}

// gateExpired ends the gated members that made no progress for WriteTimeout
// since the gate was shut, and watches over the others. It may come late, when
// the gate has been opened or shut again.
func (h *Hub) gateExpired() { h.report(h.dismissStuck()) }

// dismissStuck is gateExpired, but for telling the world. Where publishers wait
// for any member, it opens the gate if all are stuck: they treat those that are
// late.
func (h *Hub) dismissStuck() (stuck []lagger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits.gate.room == nil {
		return nil
	}
	waits, next := h.stuckMembers()
	if h.waits.gate.outrun {
		if next <= 0 {
			h.waits.gate.room.stuck = true
			h.openGate()
			return nil
		}
	} else {
		for _, m := range waits {
			stuck = append(stuck, h.dismiss(m, fmt.Errorf("%w: %w", ErrLagged, &timeoutError{"WriteTimeout", h.writeTimeout})))
		}
	}
	if h.waits.gate.room != nil {
		h.watchGate(next)
	}
	return stuck
}

// stuckMembers returns the gated members that made no progress for WriteTimeout,
// and when to look at the others; where publishers wait for any member, the latter
// is not positive if none made progress. The caller holds mu.
func (h *Hub) stuckMembers() (stuck []*member, next time.Duration) {
	gate := &h.waits.gate
	next = h.writeTimeout
	latest := time.Duration(0) // of those who make progress, the longest that is left
	shut := time.Since(gate.since)
	for f := range h.feeds {
		for _, m := range f.places {
			left := h.writeTimeout - min(shut, m.s.stalled())
			if !m.left() {
				latest = max(latest, left)
			}
			switch {
			case !m.gated():
			case left <= 0:
				stuck = append(stuck, m)
			default:
				next = min(next, left)
			}
		}
	}
	if gate.outrun {
		next = latest
	}
	return stuck, next
}
