package chanio

import (
	"context"

	"example.com/chanio/internal/sharedlog"
)

// park notes that m, a member, has written everything: the next message finds
// it. The caller holds mu.
func (h *Hub) park(m *member) {
	head := h.log.Head()
	m.mu.Lock()
	m.cursor = sharedlog.Cursor{}
	m.seq = head.Messages
	m.taken.Store(head.Bytes)
	m.mu.Unlock()
	m.written.Store(head.Bytes)
	m.slot = len(h.parked)
	h.parked = append(h.parked, m)
	h.account(m)
	h.trim()
}

// trim lets the log go when nobody has anything to read in it. The caller holds
// mu.
func (h *Hub) trim() {
	if len(h.parked) == len(h.members) && len(h.leaving) == 0 {
		h.log.Drop()
	}
}

// settle parks m, which found nothing to take and has nothing in flight, or
// forgets it if it has left. It reports false if there is something after all.
func (h *Hub) settle(m *member) bool {
	h.mu.Lock()
	head := h.log.Head()
	m.mu.Lock()
	done := m.seq >= min(head.Messages, m.end.Messages)
	m.mu.Unlock()
	switch {
	case m.gone:
	case !done:
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
		m.finished = true
		m.s.dropMember(m)
		m.s.wakeWriter() // it may wait for this to end the output
	}
	return true
}

// leave ends m's membership, behind what was published before.
func (h *Hub) leave(m *member) {
	h.mu.Lock()
	if m.left {
		h.mu.Unlock()
		return
	}
	h.remove(m)
	m.mu.Lock()
	m.end = h.log.Head()
	m.mu.Unlock()
	if m.slot >= 0 {
		h.unpark(m)
		h.forget(m)
	} else {
		m.index = len(h.leaving)
		h.leaving = append(h.leaving, m)
	}
	gone := m.gone
	h.mu.Unlock()
	if gone {
		m.s.dropMember(m)
		m.s.wakeWriter()
	}
	h.events.emit(Event{Kind: EventLeft, Session: m.s})
}

// drop ends m, whose session has ended or is about to: it gets nothing more.
func (h *Hub) drop(m *member) {
	h.mu.Lock()
	if m.gone {
		h.mu.Unlock()
		return
	}
	was := m.left
	h.expel(m)
	h.mu.Unlock()
	m.s.dropMember(m)
	if !was {
		h.events.emit(Event{Kind: EventLeft, Session: m.s, Err: m.s.Err()})
	}
}

// expel is drop for those who hold mu.
func (h *Hub) expel(m *member) {
	m.mu.Lock()
	end := min(h.log.Head().Bytes, m.end.Bytes)
	m.mu.Unlock()
	h.lost += m.owed(end)
	if m.left {
		h.leaving = removeMember(h.leaving, m)
	} else {
		h.remove(m)
		if m.slot >= 0 {
			h.unpark(m)
		}
	}
	m.gone = true
	h.uncredit(m)
	h.trim()
}

// remove takes m out of members. The caller holds mu.
func (h *Hub) remove(m *member) {
	h.members = removeMember(h.members, m)
	m.left = true
	h.ungate(m)
}

// forget takes m, which has left and written all that it was to get, out of the
// hub for good. The caller holds mu.
func (h *Hub) forget(m *member) {
	if m.index < len(h.leaving) && h.leaving[m.index] == m {
		h.leaving = removeMember(h.leaving, m)
	}
	h.account(m)
	h.uncredit(m)
	m.gone = true
	h.trim()
}

// unpark takes m out of parked. The caller holds mu.
func (h *Hub) unpark(m *member) {
	last := len(h.parked) - 1
	h.parked[m.slot] = h.parked[last]
	h.parked[m.slot].slot = m.slot
	h.parked[last] = nil
	h.parked = h.parked[:last]
	m.slot = -1
}

// removeMember takes m out of list, which it is in at m.index.
func removeMember(list []*member, m *member) []*member {
	last := len(list) - 1
	list[m.index] = list[last]
	list[m.index].index = m.index
	list[last] = nil
	return list[:last]
}

// A hubFlush is a call of Flush that waits for members.
type hubFlush struct {
	target int64         // what they must have written
	left   int           // how many have not
	done   chan struct{} // closed when none is left
}

// Flush waits until every member has written what was published before it, and
// returns nil; members that end are skipped. It returns ctx's error when ctx
// ends first. What was sent by Send counts once the hub has received it.
func (h *Hub) Flush(ctx context.Context) error {
	f := &hubFlush{done: make(chan struct{})}
	h.flushing.Add(1)
	defer h.flushing.Add(-1)
	h.mu.Lock()
	f.target = h.log.Head().Bytes
	for _, list := range [][]*member{h.members, h.leaving} {
		for _, m := range list {
			h.account(m)
			if m.credit < h.aim(m, f.target) {
				f.left++
			}
		}
	}
	if f.left == 0 {
		h.mu.Unlock()
		return nil
	}
	h.flushes = append(h.flushes, f)
	h.mu.Unlock()

	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endFlush(f)
	return ctx.Err()
}

// aim returns how much of what a Flush waits for m is to get.
func (h *Hub) aim(m *member, target int64) int64 { return min(target, m.end.Bytes) }

// account tells the waiting Flushes what m has written. The caller holds mu.
func (h *Hub) account(m *member) {
	if m.gone {
		return
	}
	before := m.credit
	m.credit = m.written.Load()
	h.creditFlushes(m, before, m.credit)
}

// uncredit tells them not to wait for m any more. The caller holds mu.
func (h *Hub) uncredit(m *member) { h.creditFlushes(m, m.credit, farAway.Bytes) }

func (h *Hub) creditFlushes(m *member, before, now int64) {
	for i := 0; i < len(h.flushes); {
		f := h.flushes[i]
		if aim := h.aim(m, f.target); before < aim && aim <= now {
			f.left--
		}
		if f.left > 0 {
			i++
			continue
		}
		close(f.done)
		h.endFlush(f)
	}
}

// endFlush takes f out of those that wait. The caller holds mu.
func (h *Hub) endFlush(f *hubFlush) {
	for i, other := range h.flushes {
		if other == f {
			h.flushes = append(h.flushes[:i], h.flushes[i+1:]...)
			return
		}
	}
}
