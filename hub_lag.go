package chanio

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"example.com/chanio/internal/sharedlog"
)

// A lagger is a member that was more than MaxLag behind, and what became of it.
type lagger struct {
	m       *member
	events  []Event // queued; to be reported
	skipped int64   // LagDrop: messages that it will not get
	err     error   // else: what its session ends with
}

// makeRoom sees to it that no member is more than MaxLag behind when a message of
// weight n is published, as the policy says, and returns whom it had to treat.
// The caller holds mu, which LagBlock gives up while it waits.
func (h *Hub) makeRoom(n int64) (treated []lagger) {
	for !h.stopped && h.staying > 0 && h.log.Head().Weight+n > h.clear {
		late := h.late(n)
		if h.lag == LagBlock {
			left := h.tooMuchLeft()
			if len(late) == 0 && len(left) == 0 {
				break
			}
			h.clear = 0 // to look again, at the one if it waited for the other
			h.await(n, late, left)
			continue
		}
		if len(late) == 0 {
			break
		}
		for _, m := range late {
			treated = append(treated, h.treat(m))
		}
	}
	return treated
}

// late returns the members that a message of weight n would put more than MaxLag
// behind, which who has taken everything never is; if there is none it notes how
// much more can be published before it has to look again. The caller holds mu.
func (h *Hub) late(n int64) (late []*member) {
	head := h.log.Head().Weight
	least := head
	places := h.places[h.parked:]
	if h.lag == LagBlock {
		places = h.members()[h.parked:] // who has left holds nobody up
	}
	for _, m := range places {
		taken := m.taken.Load()
		if taken >= min(head, m.end) {
			continue // only a write is under way
		}
		if head+n-taken > h.maxLag {
			late = append(late, m)
		} else {
			least = min(least, taken)
		}
	}
	if len(late) == 0 {
		h.clear = least + h.maxLag
	}
	return late
}

// tooMuchLeft returns those of the sessions that have left, the ones furthest
// behind, without which the others have MaxLag to take at most: each may hold
// another part of the log. The caller holds mu.
func (h *Hub) tooMuchLeft() (late []*member) {
	type part struct { // what m has yet to take
		m        *member
		from, to int64
	}
	var parts []part
	for _, m := range h.places[h.staying:] {
		if taken := m.taken.Load(); taken < m.end {
			parts = append(parts, part{m, taken, m.end})
		}
	}
	slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(b.from, a.from) })
	var held int64
	var apart []part // the parts so far, those that touch as one; the last begins first
	for i, p := range parts {
		for n := len(apart); n > 0 && apart[n-1].from <= p.to; n-- {
			held -= apart[n-1].to - apart[n-1].from
			p.to = max(p.to, apart[n-1].to)
			apart = apart[:n-1]
		}
		apart = append(apart, p)
		if held += p.to - p.from; held > h.maxLag {
			for _, q := range parts[i:] {
				late = append(late, q.m)
			}
			break
		}
	}
	return late
}

// treat does to m, which is late, what LagDisconnect and LagDrop say. The caller
// holds mu.
func (h *Hub) treat(m *member) lagger {
	if h.lag != LagDrop {
		return h.dismiss(m, ErrLagged)
	}
	l := lagger{m: m}
	var bytes int64
	if m.left {
		l.skipped, bytes = m.skip(sharedlog.Cursor{}, m.end)
	} else {
		l.skipped, bytes = m.skip(h.log.End(), h.log.Head().Weight)
	}
	h.dropped += l.skipped
	h.owed -= bytes
	m.s.stats.messagesDropped.Add(l.skipped) // here, before m's session can be summed up
	l.events = []Event{h.events.queue(Event{Kind: EventLagged, Session: m.s, Count: int(l.skipped)})}
	return l
}

// dismiss takes m, whose session is to end with err for being behind, out of the
// hub. The caller holds mu.
func (h *Hub) dismiss(m *member, err error) lagger {
	m.s.lagged.Store(true) // before it is gated no more, and before it has nothing to write
	err = m.s.errorAt("multicast", err)
	events := []Event{h.events.queue(Event{Kind: EventLagged, Session: m.s, Err: err})}
	return lagger{m: m, err: err, events: append(events, h.expel(m, err)...)}
}

// report ends the sessions of those that were dismissed, and tells the world. The
// caller must not hold mu.
func (h *Hub) report(treated []lagger) {
	endDismissed(treated)
	h.tell(treated)
}

// endDismissed ends the sessions of those that were dismissed.
func endDismissed(treated []lagger) {
	for _, l := range treated {
		if l.err != nil {
			l.m.s.dropMember(l.m)
			l.m.s.abort(l.err)
		}
	}
}

// tell logs what befell those that were treated, for which a Logger may take its
// time: what must be done is done before.
func (h *Hub) tell(treated []lagger) {
	for _, l := range treated {
		h.events.report(l.events...)
	}
}

// A gate holds publishers until the members that are late have taken more:
// LagBlock. Each of those that have not is gated and counted, so that a member
// in good time never looks at the others. Guarded by the hub's mu.
type gate struct {
	count int           // gated members
	room  chan struct{} // closed when count falls to 0; nil if nobody waits
	since time.Time     // when room was made
	timer *time.Timer   // WriteTimeout of the members that make no progress
}

// await waits until those in late have room for a message of weight n, and those
// in left have everything, one of them made no progress for WriteTimeout, or the
// hub is stopped. The caller holds mu, which it gives up meanwhile.
func (h *Hub) await(n int64, late, left []*member) {
	gate := &h.waiting().gate
	for _, m := range left {
		h.shut(m)
	}
	if len(late) > 0 {
		head := h.log.Head().Weight
		// A little more than is needed, or publishers would wake for each message.
		need := min(head, head+n-h.maxLag+h.maxLag/8)
		h.need.Store(max(need, h.need.Load())) // before taken is read: see member.took
		for _, m := range h.members() {
			if m.taken.Load() < need {
				h.shut(m)
			}
		}
	}
	if gate.count == 0 {
		h.need.Store(0)
		return
	}
	if gate.room == nil {
		gate.room = make(chan struct{})
		gate.since = time.Now()
		h.watchGate(h.writeTimeout)
	}
	room := gate.room
	h.mu.Unlock()
	<-room // closed by the last member that passes or leaves, the timer, and stop
	h.mu.Lock()
}

// shut makes publishers wait for m. The caller holds mu.
func (h *Hub) shut(m *member) {
	if !m.gated {
		m.gated = true
		h.waits.gate.count++
	}
}

// pass lets m, which has taken more, through the gate.
func (h *Hub) pass(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.taken.Load() >= h.need.Load() {
		h.ungate(m)
	}
}

// ungate makes publishers not wait for m. The caller holds mu.
func (h *Hub) ungate(m *member) {
	if !m.gated {
		return
	}
	m.gated = false
	h.waits.gate.count--
	if h.waits.gate.count == 0 {
		h.openGate()
	}
}

// openGate lets all publishers look again. The caller holds mu.
func (h *Hub) openGate() {
	h.need.Store(0)
	if h.waits != nil && h.waits.gate.room != nil {
		close(h.waits.gate.room)
		h.waits.gate.room = nil
		if h.waits.gate.timer != nil {
			h.waits.gate.timer.Stop()
		}
	}
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

// dismissStuck is gateExpired, but for telling the world.
func (h *Hub) dismissStuck() (stuck []lagger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waits.gate.room == nil {
		return nil
	}
	next := h.writeTimeout
	shut := time.Since(h.waits.gate.since)
	for _, m := range slices.Clone(h.places) { // dismiss changes them
		if !m.gated {
			continue
		}
		left := h.writeTimeout - min(shut, m.s.output.stall.lasts(m.s))
		if left <= 0 {
			stuck = append(stuck, h.dismiss(m, fmt.Errorf("%w: %w", ErrLagged, &timeoutError{"WriteTimeout", h.writeTimeout})))
			continue
		}
		next = min(next, left)
	}
	if h.waits.gate.room != nil {
		h.watchGate(next)
	}
	return stuck
}
