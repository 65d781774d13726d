package chanio

import (
	"slices"

	"example.com/chanio/internal/sharedlog"
)

// Policy and MaxLag are the hub's settings.
func (h *Hub) Policy() LagPolicy { return h.lag }
func (h *Hub) MaxLag() int64     { return h.maxLag }

// HasOtherFeeds reports whether the hub has members with another framing.
func (h *Hub) HasOtherFeeds() bool { return h.others.Load() != nil }

// Places returns how many places members have in the hub's own feed.
func (h *Hub) Places() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.first.places)
}

// PlacesRoom returns for how many places the hub's own feed has memory.
func (h *Hub) PlacesRoom() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cap(h.first.places)
}

// Kept returns how many bytes the log of the hub's own feed holds for members
// that left.
func (h *Hub) Kept() int64 { return h.first.log.Kept() }

// Holds reports whether the hub's own feed holds a place, a start or a message.
func (h *Hub) Holds() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &h.first
	return len(f.places) > 0 || f.starts != nil || f.log.End() != (sharedlog.Cursor{}) || f.log.Kept() != 0
}

// Marks returns how many members hold a mark of a Flush.
func (h *Hub) Marks() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.feeds {
		for _, m := range f.places {
			if w := m.waits.Load(); w != nil && w.marks != nil {
				n++
			}
		}
	}
	return n
}

// MemberPlaces returns how many places s has in hubs.
func (s *Session) MemberPlaces() int { return len(s.placesNow()) }

// PartsBehind returns how many parts of its first hub's log s still reads though
// it has left.
func (s *Session) PartsBehind() int { return len(s.placesNow()[0].behind.parts) }

// TakeNext takes what is next for s in its first hub's log, as its writer does,
// which must be in a write meanwhile. It reports whether there was anything.
func (s *Session) TakeNext() bool { return s.placesNow()[0].takeNext(new(outBatch)) }

// IsHeld reports whether s must read another hub first.
func (s *Session) IsHeld() bool { return s.placesNow()[0].isHeld() }

// PartsEnd returns how much s must take of its first hub for publishers to no
// longer wait for its parts, and how much is due to it.
func (s *Session) PartsEnd() (end, due int64) {
	m := s.placesNow()[0]
	h := m.feed.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	return m.partsEnd(), m.aim()
}

// IndexedHubs returns how many hubs s has in its index.
func (s *Session) IndexedHubs() int { return len(s.hubs.byHub) }

// WithoutOtherPlaces runs f while s can look at none of its places except the
// newest and those that f makes.
func (s *Session) WithoutOtherPlaces(f func()) {
	hidden := len(s.hubs.places) - 1
	saved := slices.Clone(s.hubs.places[:hidden])
	clear(s.hubs.places[:hidden])
	f()
	copy(s.hubs.places, saved)
}

// HubIndexIsRight reports whether each place is where the index says.
func (s *Session) HubIndexIsRight() bool {
	for i, m := range s.hubs.places {
		if int(m.slot) != i || s.hubs.byHub[m.feed.hub] != m {
			return false
		}
	}
	return true
}

// Wakes returns how many members of the hub's own feed are parked, how many are
// still to wake, and whether a goroutine is at it.
func (h *Hub) Wakes() (parked, due int, waking bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int(h.first.parked), int(h.first.due), h.waits.waker != nil
}

// BeginPublish publishes p to the hub's own feed up to the moment when the
// first members must be woken, which finish does.
func (h *Hub) BeginPublish(p []byte) (woken, due int, waking bool, finish func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.first.published(h.first.log.Append(p), 0)
	h.counts.owed += int64(len(p) * len(h.first.places))
	few := h.wake(make([]*member, 0, wakeAtOnce), &h.first)
	return len(few), int(h.first.due), h.hubWaits().waker != nil, func() {
		for _, m := range few {
			m.s.memberReady(m)
		}
	}
}

// Lag makes the hub find that its member s lags. The result reports it, as the
// publisher does once it holds no lock.
func (h *Hub) Lag(s *Session) (report func()) {
	m := s.placesNow()[0]
	h.mu.Lock()
	defer h.mu.Unlock()
	late := h.treat(m)
	return func() { h.report([]lagger{late}) }
}

// StopGate stops the timer for members that hold publishers.
func (h *Hub) StopGate() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits.gate.timer.Stop()
}

// GateExpired is what that timer calls.
func (h *Hub) GateExpired() { h.gateExpired() }

// DismissStuck dismisses the members that have held publishers too long, and
// returns how many. report reports them.
func (h *Hub) DismissStuck() (n int, report func()) {
	stuck := h.dismissStuck()
	return len(stuck), func() { h.report(stuck) }
}

// TakesWire reports whether the hub publishes b from b's own memory to the members
// with the framing that it expects, and where each message would end.
func (h *Hub) TakesWire(b *Batch) (ends []int, ok bool) {
	f := frame{feed: &h.first}
	ok = f.takeWire(b)
	return f.ends, ok
}

// EndingRooms returns how many hubs r keeps that it has forgotten.
func (r *Rooms[K]) EndingRooms() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ending)
}
