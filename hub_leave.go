package chanio

import (
	"errors"

	"example.com/chanio/internal/sharedlog"
)

// leave ends m's membership. It still gets what was published before.
func (h *Hub) leave(m *member) {
	h.mu.Lock()
	if m.left() {
		h.mu.Unlock()
		return
	}
	idle := m.feed.idle(m) // otherwise its session's writer drops it, in settle
	tell := m.feed.remove(m)
	if idle {
		m.feed.unlink(m)
	}
	event := h.events.queue(Event{Kind: EventLeft, Session: m.s})
	gone := m.gone()
	h.mu.Unlock()
	h.events.report(event)
	if tell {
		m.s.memberReady(m)
	}
	if gone {
		m.s.dropPlace(m)
		m.s.wakeWriter()
	}
}

// settle parks m, which found nothing to take and has nothing in flight, or
// unlinks it if it has left. It returns false if there is something to take
// after all.
func (h *Hub) settle(m *member) bool {
	h.mu.Lock()
	switch {
	case m.gone():
	case !m.drained():
		h.mu.Unlock()
		return false
	case m.left():
		m.settled()
		m.feed.unlink(m)
	default:
		m.feed.park(m)
	}
	gone := m.gone()
	h.mu.Unlock()
	if gone {
		m.s.dropPlace(m)
		m.s.wakeWriter() // it may be waiting for this to end the output
	}
	return true
}

// evict ends the membership of m, whose session has ended. It gets nothing
// more.
func (h *Hub) evict(m *member) {
	err := m.s.cause()
	h.mu.Lock()
	if m.gone() {
		h.mu.Unlock()
		return
	}
	var events []Event
	if m.gated() && errors.Is(err, ErrLagged) {
		events = append(events, h.events.queue(Event{Kind: EventLagged, Session: m.s, Err: err}))
	}
	events = append(events, h.evicted(m, err)...)
	h.mu.Unlock()
	h.events.report(events...)
	m.s.dropPlace(m)
}

// evicted is evict for a member whose session has ended with err or is about
// to. The caller holds mu, and reports the events after releasing it.
func (h *Hub) evicted(m *member, err error) (events []Event) {
	if m.index < m.feed.parked {
		m.feed.rouse(m) // to see what is due to it
	}
	messages, bytes := m.skip(sharedlog.Cursor{}) // the session may be kept for a long time
	h.lose(bytes)                                 // the writer counts what is in flight
	m.s.lost(messages, bytes)
	if !m.left() {
		m.feed.remove(m)
		events = append(events, h.events.queue(Event{Kind: EventLeft, Session: m.s, Err: err}))
	}
	m.forgive()
	m.feed.unlink(m)
	return events
}

// retire marks the hub retired if the last place is gone and someone wants to
// know. The caller holds mu.
func (h *Hub) retire() {
	if h.waits != nil && h.waits.unused != nil && len(h.first.places) == 0 && h.others.Load() == nil {
		h.waits.retired = true
	}
}

// retireUnused retires a hub that no one has joined.
func (h *Hub) retireUnused() {
	h.mu.Lock()
	h.retire()
	h.mu.Unlock()
	h.unlinked()
}

// unlinked runs the unused callback if the hub is retired and not about to end. The
// caller must not hold mu.
func (h *Hub) unlinked() {
	h.mu.Lock()
	var unused func()
	if h.waits != nil && h.waits.retired && !(h.stopped && !h.end.finished()) {
		unused, h.waits.unused = h.waits.unused, nil
	}
	h.mu.Unlock()
	if unused != nil {
		unused()
	}
}

// lose counts bytes that were due to a member and that it will not get. The
// caller holds mu.
func (h *Hub) lose(bytes int64) {
	h.counts.owed -= bytes
	h.counts.lost += bytes
}
