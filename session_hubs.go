package chanio

import (
	"iter"
	"slices"
	"sync/atomic"
)

// sessionHubs is a session's side of its memberships.
type sessionHubs struct {
	ready  atomic.Bool // woken is not empty
	lagged atomic.Bool // a hub is about to end the session for lagging

	// Guarded by the session's mu.
	places []*member        // one for each hub, including those that it left and still reads
	byHub  map[*Hub]*member // index of places; nil while there are few
	woken  []*member        // members with messages that the writer does not know of yet
}

// Up to fewHubs hubs are searched linearly, which takes at most a microsecond.
// A map costs 40 bytes per hub, which adds up with ten thousand small rooms.
const fewHubs = 128

// find returns the place in h, or nil.
func (l *sessionHubs) find(h *Hub) *member {
	if l.byHub != nil {
		return l.byHub[h]
	}
	for _, m := range l.places {
		if m.feed.hub == h {
			return m
		}
	}
	return nil
}

// add adds m, or puts it in the place of one of the same hub that is gone.
func (l *sessionHubs) add(m *member) {
	h := m.feed.hub
	if old := l.find(h); old != nil {
		l.drop(old)
	}
	m.slot = int32(len(l.places))
	l.places = append(l.places, m)
	switch {
	case l.byHub != nil:
		l.byHub[h] = m
	case len(l.places) > fewHubs:
		l.byHub = make(map[*Hub]*member, 2*fewHubs)
		for _, m := range l.places {
			l.byHub[m.feed.hub] = m
		}
	}
}

// drop forgets m.
func (l *sessionHubs) drop(m *member) {
	if int(m.slot) >= len(l.places) || l.places[m.slot] != m {
		return
	}
	last := len(l.places) - 1
	other := l.places[last]
	l.places[m.slot], other.slot = other, m.slot
	l.places[last] = nil
	l.places = l.places[:last]
	if l.byHub != nil {
		delete(l.byHub, m.feed.hub)
		if last == 0 {
			l.byHub = nil
		}
	}
}

// Hubs iterates over the hubs of which the session is a member when iteration
// starts, in no particular order.
func (s *Session) Hubs() iter.Seq[*Hub] {
	return func(yield func(*Hub) bool) {
		for _, m := range s.placesNow() {
			h := m.feed.hub
			h.mu.Lock()
			left := m.left()
			h.mu.Unlock()
			if !left && !yield(h) {
				return
			}
		}
	}
}

// member returns the session's place in h, or nil.
func (s *Session) member(h *Hub) *member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hubs.find(h)
}

// place returns the session's place in h, or nil if none continues. The caller
// holds the hub's mu.
func (s *Session) place(h *Hub) (*member, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life().refusing() {
		return nil, ErrClosed
	}
	m := s.hubs.find(h)
	if m != nil && m.gone() {
		return nil, nil
	}
	return m, nil
}

// addPlace makes m the session's place in its hub. The caller holds the hub's mu.
func (s *Session) addPlace(m *member) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life().refusing() {
		return ErrClosed
	}
	s.hubs.add(m)
	return nil
}

// dropPlace forgets m, which its hub has unlinked.
func (s *Session) dropPlace(m *member) {
	s.mu.Lock()
	s.hubs.drop(m)
	s.mu.Unlock()
	m.feed.hub.unlinked()
}

// placesNow returns the session's places in hubs.
func (s *Session) placesNow() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hubs.places)
}

// memberReady tells the writer of m, which is no longer parked.
func (s *Session) memberReady(m *member) {
	s.mu.Lock()
	s.hubs.woken = append(s.hubs.woken, m)
	s.hubs.ready.Store(true)
	s.mu.Unlock()
	s.needWriter()
	s.wakeWriter()
}

// endLagged ends the session with err, because a hub is too far ahead of it, in a
// goroutine of its own: closing a connection may take time. The session's
// Done waits for that.
func (s *Session) endLagged(err error) {
	s.mu.Lock()
	if s.over() {
		s.mu.Unlock()
		return
	}
	s.refs.Add(1) // it is not 0: the session has not ended
	s.mu.Unlock()
	go s.runEndLagged(err)
}

// runEndLagged is endLagged's goroutine.
func (s *Session) runEndLagged(err error) {
	defer s.release()
	s.abort(err)
}

// leaveHubsBehind leaves all hubs, after what was published before.
func (s *Session) leaveHubsBehind() {
	for _, m := range s.placesNow() {
		m.feed.hub.leave(m)
	}
}

// leaveHubs leaves all hubs at once, for a session that has ended.
func (s *Session) leaveHubs() {
	for _, m := range s.placesNow() {
		m.feed.hub.evict(m)
	}
}

// hubsDrained reports whether no hub has anything left for the session to
// write. The session has left them all gracefully; a hub that dismissed it is
// about to end it.
func (s *Session) hubsDrained() bool {
	if s.hubs.lagged.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hubs.places) == 0
}

// holdsPublisher reports whether a publisher waits for the session.
func (s *Session) holdsPublisher() bool {
	for _, m := range s.placesNow() {
		h := m.feed.hub
		h.mu.Lock()
		gated := m.gated()
		h.mu.Unlock()
		if gated {
			return true
		}
	}
	return false
}

// A hubMark is how much of a hub's messages a Flush of the session waits for.
type hubMark struct {
	m   *member
	aim int64
}

// owedBy returns what h still owes the session, or nil if nothing.
func (s *Session) owedBy(h *Hub) *hubMark {
	m := s.member(h)
	if m == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &hubMark{m, m.aim()}
}

// markHubs returns where the session's hubs are now.
func (s *Session) markHubs() []hubMark {
	var marks []hubMark
	for _, m := range s.placesNow() {
		h := m.feed.hub
		h.mu.Lock()
		aim := m.aim()
		h.mu.Unlock()
		if m.written.Load() < aim {
			marks = append(marks, hubMark{m, aim})
		}
	}
	return marks
}

// hubsPast reports whether everything before marks is written.
func hubsPast(marks []hubMark) bool {
	for _, k := range marks {
		if k.m.written.Load() < k.aim {
			return false
		}
	}
	return true
}

// hubReader is what the writer knows of its session's hubs.
type hubReader struct {
	active []*member // members that may have something; others are parked
	first  int       // which of them is next
	taken  bool      // the batch holds messages of theirs
}

// gatherHubs adds a chunk of each active member to the batch, round-robin,
// while there is room.
func (s *Session) gatherHubs(o *writerState) {
	r := &o.hubs
	if s.hubs.ready.Load() {
		s.mu.Lock()
		s.hubs.ready.Store(false)
		r.active = append(r.active, s.hubs.woken...)
		clear(s.hubs.woken) // so that it does not keep them alive
		s.hubs.woken = s.hubs.woken[:0]
		s.mu.Unlock()
	}
	// There is always room for one chunk, or the session's own messages could
	// starve its hubs forever.
	for idle := 0; idle < len(r.active) && !(r.taken && o.batch.full()); {
		if r.first >= len(r.active) {
			r.first = 0
		}
		before := o.batch.messages
		if m := r.active[r.first]; m.take(&o.batch) {
			r.first++
			idle++
		} else {
			r.active = slices.Delete(r.active, r.first, r.first+1)
		}
		if o.batch.messages > before {
			r.taken, idle = true, 0
		}
	}
}

// wroteHubs notes that the batch is written.
func (s *Session) wroteHubs(o *writerState) {
	if !o.hubs.taken {
		return
	}
	o.hubs.taken = false
	for _, m := range o.hubs.active {
		if m.messages > 0 || m.written.Load() < m.taken.Load() { // failed ones do not count
			m.wrote()
		}
	}
}

// lostHubs notes that the rest of the batch will never be written.
func (s *Session) lostHubs(o *writerState) {
	o.hubs.taken = false
	b := &o.batch
	if b.datagrams != nil {
		for m, p := range b.undone {
			if m != nil {
				m.lost(1, uint32(len(p)))
			}
		}
		for _, m := range o.hubs.active {
			m.sent()
		}
		return
	}
	for _, c := range b.chunks {
		sent := min(max(b.sent-c.start, 0), c.bytes)
		if sent == c.bytes {
			c.m.sentPart(uint32(c.messages), uint32(sent))
		} else {
			c.m.sentPart(0, uint32(sent)) // the number of messages in it is unknown
		}
	}
	for _, m := range o.hubs.active {
		if m.messages > 0 {
			m.lost(m.messages, m.bytes)
		}
	}
}
