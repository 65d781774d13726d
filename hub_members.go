package chanio

import (
	"errors"

	"example.com/chanio/internal/sharedlog"
)

// members returns the members. The caller holds mu.
func (h *Hub) members() []*member { return h.places[:h.staying] }

// move swaps m with places[i]. The caller holds mu.
func (h *Hub) move(m *member, i int32) {
	other := h.places[i]
	h.places[i], h.places[m.index] = m, other
	other.index, m.index = m.index, i
}

// add makes m a member, which has everything. The caller holds mu.
func (h *Hub) add(m *member) {
	m.index = int32(len(h.places))
	h.places = append(h.places, m)
	h.move(m, h.staying)
	h.staying++
	h.park(m)
	h.lenChanged()
}

// park notes that m, a member, has written everything: the next message finds
// it. The caller holds mu.
func (h *Hub) park(m *member) {
	h.move(m, h.parked)
	h.parked++
	m.cursor = sharedlog.Cursor{}
	m.taken.Store(h.log.Head().Weight)
	h.settled(m)
	h.trim()
}

// unpark appends the parked members to dst, with their cursors at start: they
// are active from then on. The caller holds mu, and tells them without it.
func (h *Hub) unpark(dst []*member, start sharedlog.Cursor) []*member {
	dst = append(dst, h.places[:h.parked]...)
	h.parked = 0
	for _, m := range dst {
		m.cursor = start
	}
	return dst
}

// remove moves m from the members to those that have left, and reports whether
// it was parked. The caller holds mu.
func (h *Hub) remove(m *member) (parked bool) {
	if parked = m.index < h.parked; parked {
		h.parked--
		h.move(m, h.parked)
	}
	h.staying--
	h.move(m, h.staying)
	m.left = true
	h.ungate(m)
	h.lenChanged()
	return parked
}

// discard forgets m, which has left. The caller holds mu.
func (h *Hub) discard(m *member) {
	last := len(h.places) - 1
	h.move(m, int32(last))
	h.places[last] = nil
	h.places = h.places[:last]
	m.gone = true
	m.finished.Store(true)
	h.ungate(m)
	h.trim()
}

// trim lets the log go when nobody has anything to read in it. The caller holds
// mu.
func (h *Hub) trim() {
	if int(h.parked) == len(h.places) {
		h.log.Drop()
	}
}

// settle parks m, which found nothing to take and has nothing in flight, or
// forgets it if it has left. It reports false if there is something after all.
func (h *Hub) settle(m *member) bool {
	h.mu.Lock()
	switch {
	case m.gone:
	case !m.idle():
		h.mu.Unlock()
		return false
	case m.left:
		h.forget(m)
	default:
		h.park(m)
	}
	gone := m.gone
	h.mu.Unlock()
	if gone {
		m.s.dropMember(m)
		m.s.wakeWriter() // it may wait for this to end the output
	}
	return true
}

// settled notes that all that m took is written. The caller holds mu, and knows
// that the writer has nothing of m.
func (h *Hub) settled(m *member) {
	m.written.Store(m.taken.Load()) // what it skipped included
	h.account(m)
}

// leave ends m's membership, behind what was published before.
func (h *Hub) leave(m *member) {
	h.mu.Lock()
	if m.left {
		h.mu.Unlock()
		return
	}
	parked := h.remove(m)
	m.end = h.log.Head().Weight
	if parked {
		h.forget(m)
	} else {
		m.mu.Lock()
		m.cursor.Cut() // it must not keep what is published from now on
		m.mu.Unlock()
		if h.lag == LagBlock {
			h.clear = 0 // it may be too much now: see tooMuchLeft
		}
	}
	event := h.events.queue(Event{Kind: EventLeft, Session: m.s})
	gone := m.gone
	h.mu.Unlock()
	h.events.report(event)
	if gone {
		m.s.dropMember(m)
		m.s.wakeWriter()
	}
}

// drop ends m, whose session has ended: it gets nothing more.
func (h *Hub) drop(m *member) {
	err := m.s.Err()
	h.mu.Lock()
	if m.gone {
		h.mu.Unlock()
		return
	}
	var events []Event
	if m.gated && errors.Is(err, ErrLagged) {
		events = append(events, h.events.queue(Event{Kind: EventLagged, Session: m.s, Err: err}))
	}
	events = append(events, h.expel(m, err)...)
	h.mu.Unlock()
	h.events.report(events...)
	m.s.dropMember(m)
}

// expel takes m, whose session has ended with err or is about to, out of the hub
// for good. The caller holds mu, and reports the events without it.
func (h *Hub) expel(m *member, err error) (events []Event) {
	end := min(h.log.Head().Weight, m.end)
	messages, bytes := m.skip(sharedlog.Cursor{}, end) // its session may be kept for long
	h.lose(bytes)                                      // and the writer counts what is in flight
	m.s.lost(messages, bytes)
	if !m.left {
		h.remove(m)
		m.end = end
		events = append(events, h.events.queue(Event{Kind: EventLeft, Session: m.s, Err: err}))
	}
	h.uncredit(m)
	h.discard(m)
	return events
}

// lose counts bytes that a member was to get and will not. The caller holds mu.
func (h *Hub) lose(bytes int64) {
	h.owed -= bytes
	h.lost += bytes
}

// forget takes m, which has left and written all that it was to get, out of the
// hub for good. The caller holds mu.
func (h *Hub) forget(m *member) {
	h.settled(m)
	m.cursor = sharedlog.Cursor{}
	h.discard(m)
}
