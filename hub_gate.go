package chanio

import (
	"fmt"
	"time"
)

// hubWaits are those that wait for members, and what runs for them, which is
// rare.
type hubWaits struct {
	gate    gate // publishers
	watches []*hubWatch
	waker   chan struct{} // closed when the waker ends; nil while none runs

	// unused is called once, without mu, when the last place is gone; it is nil
	// except in Rooms. The hub is then retired and accepts no more members.
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

// A gate holds publishers until late members have taken more. Each late member
// is gated and counted, so that a member that keeps up never looks at the
// others. Guarded by the hub's mu.
type gate struct {
	count   int         // gated members
	room    *gateRoom   // nil if no publisher waits
	outrun  bool        // LagDisconnect: the gate also opens when enough members keep up
	missing int         // how many more must keep up
	since   time.Time   // when room was made
	timer   *time.Timer // WriteTimeout of members that make no progress
}

// Publishers wait WriteTimeout/graces for a lagging member that makes no
// progress while others do.
const graces = 4

// Where enough members keep up, publishers wait for a lagging member that has made
// progress within WriteTimeout/moments.
const moments = 10

// A gateRoom is where publishers wait for the gate to open.
type gateRoom struct {
	open  chan struct{} // closed by openGate
	stuck bool          // it was opened because no member made progress for WriteTimeout
}

// await waits until the members in late have room and those in left have taken
// all of their parts, until one of them makes no progress for WriteTimeout, or
// until the hub is stopped. It waits for apart, which does not get the message,
// only in left. The caller holds mu, which await releases while it waits.
func (h *Hub) await(late []latecomer, left []*member, apart *member) {
	for _, m := range left {
		h.shut(m, m.partsEnd())
	}
	slack := int64(0)
	for _, l := range late {
		// A little more than is needed, or publishers would wake for each
		// message.
		slack = h.maxLag / 8
		h.shut(l.m, min(l.m.aim(), l.need+slack))
	}
	if slack > 0 { // include those that are about to be late
		for f := range h.feeds {
			for _, m := range f.places[:f.staying] {
				if m != apart && m.lag() > h.maxLag-slack {
					h.shut(m, m.aim()-h.maxLag+slack)
				}
			}
		}
	}
	h.enter(false)
}

// awaitMost waits until enough members keep up or those in late have room. It
// returns false if those made no progress: see outrunStuck. The caller holds
// mu, which awaitMost releases while it waits.
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

// enter waits until the gate opens. It returns false if it opened because no
// member made progress. The caller holds mu, which enter releases while it
// waits.
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
			h.watchGate(h.writeTimeout / looks) // to learn how far the peers have come
		case gate.missing > 0:
			h.watchGate(h.writeTimeout / graces)
		default: // enough keep up: this is for those that are only a moment later
			h.watchGate(h.writeTimeout / moments)
		}
	}
	room := gate.room
	h.mu.Unlock()
	<-room.open // closed by the last member that passes or leaves, by the timer, or by stop
	h.mu.Lock()
	return !room.stuck
}

// shut makes publishers wait until m has taken need, unless it already has. The
// caller holds mu.
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
		return // need was raised meanwhile
	}
	w.need.Store(never)
	if w.gated {
		h.ungate(m)
	} else {
		h.welcome()
	}
}

// welcome counts one more member that keeps up. The caller holds mu.
func (h *Hub) welcome() {
	if h.waits == nil || !h.waits.gate.outrun {
		return
	}
	if h.waits.gate.missing--; h.waits.gate.missing > 0 {
		return
	}
	h.openGate()
}

// ungate makes publishers stop waiting for m. The caller holds mu.
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

// openGate lets all publishers check again. The caller holds mu.
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

// watchGate sets the timer for members that publishers wait for. Their
// sessions' WriteTimeout watches them too; this is for sessions with a longer
// one or none. The caller holds mu.
func (h *Hub) watchGate(d time.Duration) {
	switch {
	case h.writeTimeout <= 0:
	case h.waits.gate.timer == nil:
		h.waits.gate.timer = time.AfterFunc(d, h.gateExpired)
	default:
		h.waits.gate.timer.Reset(d)
	}
}

// gateExpired dismisses the gated members that made no progress for
// WriteTimeout since the gate was shut, and keeps watching the others. It may
// be called late, when the gate has been opened or shut again.
func (h *Hub) gateExpired() { h.report(h.dismissStuck()) }

// dismissStuck is gateExpired without the reports. If publishers wait for any
// member, it opens the gate once all are stuck, and the publishers treat those
// that are late.
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

// outrunStuck reports whether publishers have waited long enough for lagging
// members: none of those has made progress for a while although others have, or
// no member at all has for WriteTimeout. The caller holds mu.
func (h *Hub) outrunStuck() bool {
	shut := time.Since(h.waits.gate.since)
	late, any := shut, shut // for how long none of them has made progress
	best := int64(never)
	for f := range h.feeds {
		for _, m := range f.places[:f.staying] {
			m.s.lookAtProgress(h.writeTimeout)
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

// stuckMembers returns the gated members that made no progress for
// WriteTimeout, and when to check the others. The caller holds mu.
func (h *Hub) stuckMembers() (stuck []*member, next time.Duration) {
	next = h.writeTimeout
	shut := time.Since(h.waits.gate.since)
	for f := range h.feeds {
		for _, m := range f.places {
			if !m.gated() {
				continue
			}
			if m.s.lookAtProgress(h.writeTimeout) {
				next = min(next, h.writeTimeout/looks)
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
