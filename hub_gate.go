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
	count   int         // gated members
	room    *gateRoom   // nil if nobody waits
	outrun  bool        // LagDisconnect: it opens, too, when enough members keep up
	missing int         // how many more that must be
	since   time.Time   // when room was made
	timer   *time.Timer // WriteTimeout of the members that make no progress
}

// graces is the part of WriteTimeout for which publishers wait for a member that
// lags and does not go on, where others do.
const graces = 4

// moments is the part of WriteTimeout that members which lag have in any case once
// publishers wait.
const moments = 10

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

// awaitMost waits until enough members keep up, or those in late have room. It
// returns false if those did not go on: see outrunStuck. The caller holds mu, which
// it gives up meanwhile.
func (h *Hub) awaitMost(late []latecomer) bool {
	most := h.keepsUp()
	if h.writeTimeout <= 0 {
		most = h.maxLag / 2
	}
	for f := range h.feeds {
		for _, m := range f.places[:f.staying] {
			if m.lag() > most {
				m.waiting().need.Store(m.aim() - most)
			}
		}
	}
	for _, l := range late {
		h.shut(l.m, min(l.m.aim(), l.need+h.maxLag/8))
	}
	h.hubWaits().gate.missing = h.missing() // after need is set: see member.took
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
		switch {
		case !outrun:
			h.watchGate(h.writeTimeout)
		case gate.missing > 0:
			h.watchGate(h.writeTimeout / graces)
		default: // enough keep up: this is for those that are only a moment later
			h.watchGate(h.writeTimeout / moments)
		}
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

// welcome notes one more member that keeps up. The caller holds mu.
func (h *Hub) welcome() {
	if h.waits == nil || !h.waits.gate.outrun {
		return
	}
	if h.waits.gate.missing--; h.waits.gate.missing > 0 {
		return
	}
	if left := h.writeTimeout/moments - time.Since(h.waits.gate.since); left > 0 {
		h.watchGate(left) // for those that are only a moment later than the others
		return
	}
	h.openGate()
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
		if h.waits.gate.missing <= 0 || h.outrunStuck() {
			h.waits.gate.room.stuck = true
			h.openGate()
			return nil
		}
		next = h.writeTimeout / graces
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

// outrunStuck reports whether publishers have waited enough for members that lag:
// none of those has gone on for a while although others have, or no member at all
// for WriteTimeout. The caller holds mu.
func (h *Hub) outrunStuck() bool {
	shut := time.Since(h.waits.gate.since)
	late, any := shut, shut // for how long none of them has made progress
	best := int64(never)
	for f := range h.feeds {
		for _, m := range f.places[:f.staying] {
			rests := min(shut, m.s.stalled())
			any = min(any, rests)
			best = min(best, m.lag())
			if m.gated() {
				late = min(late, rests)
			}
		}
	}
	return any >= h.writeTimeout || best <= h.maxLag/2 && late >= h.writeTimeout/graces
}

// stuckMembers returns the gated members that made no progress for WriteTimeout,
// and when to look at the others. The caller holds mu.
func (h *Hub) stuckMembers() (stuck []*member, next time.Duration) {
	next = h.writeTimeout
	shut := time.Since(h.waits.gate.since)
	for f := range h.feeds {
		for _, m := range f.places {
			if !m.gated() {
				continue
			}
			if left := h.writeTimeout - min(shut, m.s.stalled()); left > 0 {
				next = min(next, left)
			} else {
				stuck = append(stuck, m)
			}
		}
	}
	return stuck, next
}
