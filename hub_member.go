package chanio

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"example.com/chanio/internal/sharedlog"
)

// A member is a session's place in a hub: a cursor into the hub's log. It is
// parked, known to have everything and holding no part of the log, or active,
// in the hands of the session's writer.
type member struct {
	hub *Hub
	s   *Session

	// taken is how much of the log was taken for a write or skipped, and
	// written how much of that is done; both are the Weight of a Position.
	taken, written atomic.Int64
	finished       atomic.Bool // the hub has forgotten it: there is nothing to come

	// mu lets the writer of an active member go on without the hub's mu. Who
	// changes the cursor from outside, or knows the member to be parked, has that.
	mu     sync.Mutex
	cursor sharedlog.Cursor

	// Guarded by the hub's mu.
	end    int64 // where its part of the log ends; farAway until it leaves
	credit int64 // how much of written the hub's flushes know of
	index  int32 // its place in hub.places
	left   bool  // it is no member any more, whether or not it has taken all that it is to get
	gone   bool  // the hub has forgotten it
	gated  bool  // publishers wait for it

	// The writer's.
	before   *member // a place of the same session, left, whose messages go out first; may be nil
	messages uint32  // taken and not yet written
	bytes    uint32
}

// farAway is the end of a member that has not left.
const farAway = math.MaxInt64

// take adds what is next in the log to b. It reports whether m goes on: else it
// is parked or gone, and the writer forgets it.
func (m *member) take(b *outBatch) bool {
	if m.before != nil {
		if !m.before.finished.Load() {
			return true
		}
		m.before = nil
	}
	for {
		if m.takeNext(b) {
			return true
		}
		// What is in flight is not written, so it can't be parked yet.
		if m.messages > 0 {
			return true
		}
		if m.hub.settle(m) {
			return false
		}
	}
}

// takeNext adds the next chunk to b, if there is one.
func (m *member) takeNext(b *outBatch) bool {
	if b.datagrams != nil {
		return m.takeDatagrams(b)
	}
	m.mu.Lock()
	chunk := m.cursor.Next()
	passed := m.took(chunk)
	m.mu.Unlock()
	if chunk.Messages > 0 {
		b.addChunk(chunk.Data, chunk.Messages)
	}
	if passed {
		m.hub.pass(m)
	}
	return chunk.Messages > 0
}

// takeDatagrams is takeNext message by message: only under the hub's mu does
// the log tell where they end.
func (m *member) takeDatagrams(b *outBatch) bool {
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	m.mu.Lock()
	chunk, ends := m.cursor.NextIndexed(maxPackets, b.datagrams.ends[:0])
	passed := m.took(chunk)
	m.mu.Unlock()
	b.datagrams.ends = ends
	if chunk.Messages > 0 {
		b.addDatagrams(m, chunk.Data, ends)
	}
	if passed && m.taken.Load() >= h.need.Load() {
		h.ungate(m)
	}
	return chunk.Messages > 0
}

// took notes that chunk is in flight. It reports whether that passed what
// publishers may wait for. The caller holds mu.
func (m *member) took(chunk sharedlog.Chunk) (passed bool) {
	m.messages += uint32(chunk.Messages)
	m.bytes += uint32(len(chunk.Data))
	taken := m.taken.Load()
	now := taken + chunk.Weight
	m.taken.Store(now)
	need := m.hub.need.Load()
	return taken < need && need <= now
}

// wrote notes that what was taken is written, but for what failed or was lost.
func (m *member) wrote() {
	h := m.hub
	m.written.Store(m.taken.Load())
	m.sent()
	if h.flushing.Load() > 0 {
		h.mu.Lock()
		h.account(m)
		h.mu.Unlock()
	}
}

// sent counts what is in flight as sent.
func (m *member) sent() {
	m.hub.sentBytes.Add(int64(m.bytes))
	m.hub.sentMessages.Add(int64(m.messages))
	m.bytes, m.messages = 0, 0
}

// lost notes that so much of what is in flight will never be written.
func (m *member) lost(messages, bytes uint32) {
	m.messages -= messages
	m.bytes -= bytes
	m.hub.mu.Lock()
	m.hub.lose(int64(bytes))
	m.hub.mu.Unlock()
}

// failed notes that a datagram of n bytes that is in flight could not be sent.
func (m *member) failed(n int) {
	m.messages--
	m.bytes -= uint32(n)
	m.hub.mu.Lock()
	m.hub.lose(int64(n))
	m.hub.dropped++
	m.hub.mu.Unlock()
}

// skip moves m to cursor, which stands at position to, and returns how much m
// will not get of what it has not taken. The caller holds the hub's mu.
func (m *member) skip(cursor sharedlog.Cursor, to int64) (messages, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	messages, bytes = m.cursor.Rest()
	m.cursor = cursor
	m.taken.Store(to)
	return messages, bytes
}

// idle reports whether there is nothing for m to take. The caller holds the
// hub's mu.
func (m *member) idle() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	messages, _ := m.cursor.Rest()
	return messages == 0
}

// hubReader is what the writer knows of its session's hubs.
type hubReader struct {
	active []*member // members that may have something; others are parked
	first  int       // which of them is first in turn
	taken  bool      // the batch has something of theirs
}

// gatherHubs adds a chunk of each active member to the batch, in turn, while
// there is room.
func (s *Session) gatherHubs(o *writerState) {
	r := &o.hubs
	if s.hubsReady.Load() {
		s.mu.Lock()
		s.hubsReady.Store(false)
		r.active = append(r.active, s.ready...)
		clear(s.ready) // or it would keep them
		s.ready = s.ready[:0]
		s.mu.Unlock()
	}
	// One chunk there is room for always, or a session's own messages could keep
	// its hubs waiting for good.
	for turns := len(r.active); turns > 0 && !(r.taken && o.batch.full()); turns-- {
		if r.first >= len(r.active) {
			r.first = 0
		}
		before := o.batch.messages
		if m := r.active[r.first]; m.take(&o.batch) {
			r.first++
		} else {
			r.active = slices.Delete(r.active, r.first, r.first+1)
		}
		r.taken = r.taken || o.batch.messages > before
	}
}

// wroteHubs notes that the batch is written.
func (s *Session) wroteHubs(o *writerState) {
	if !o.hubs.taken {
		return
	}
	o.hubs.taken = false
	for _, m := range o.hubs.active {
		if m.messages > 0 || m.written.Load() < m.taken.Load() { // those that failed are none
			m.wrote()
		}
	}
}

// lostHubs notes that the rest of the batch will never be written.
func (s *Session) lostHubs(o *writerState) {
	o.hubs.taken = false
	if o.batch.datagrams != nil {
		for m, p := range o.batch.undone {
			if m != nil {
				m.lost(1, uint32(len(p)))
			}
		}
	}
	for _, m := range o.hubs.active {
		switch {
		case m.messages == 0:
		case o.batch.datagrams != nil:
			m.sent()
		default:
			m.lost(m.messages, m.bytes)
		}
	}
}

// addMember makes m one of the session's places in hubs, behind the one that it
// has left in the same hub or in prior. known says that the session has one in
// that hub already. The caller holds the hub's mu.
func (s *Session) addMember(m *member, prior *Hub) (known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life().refusing() {
		return false, ErrClosed
	}
	for _, other := range s.members {
		switch {
		case other.hub == m.hub && !other.left:
			return true, nil
		case other.hub == prior:
			m.before = other
		case other.hub == m.hub && !other.gone && (m.before == nil || m.before.hub != prior):
			m.before = other
		}
	}
	s.members = append(s.members, m)
	return false, nil
}

// dropMember forgets m.
func (s *Session) dropMember(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.members, m); i >= 0 {
		s.members = slices.Delete(s.members, i, i+1)
	}
}

// membersNow returns the session's places in hubs.
func (s *Session) membersNow() []*member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.members)
}

// memberReady tells the writer of m, which is not parked any more.
func (s *Session) memberReady(m *member) {
	s.mu.Lock()
	s.ready = append(s.ready, m)
	s.hubsReady.Store(true)
	s.mu.Unlock()
	s.needWriter()
	s.wakeWriter()
}

// leaveHubsBehind leaves all hubs, behind what was published before.
func (s *Session) leaveHubsBehind() {
	for _, m := range s.membersNow() {
		m.hub.leave(m)
	}
}

// leaveHubs leaves all hubs at once, for a session that has ended.
func (s *Session) leaveHubs() {
	for _, m := range s.membersNow() {
		m.hub.drop(m)
	}
}

// hubsDrained reports whether no hub has anything for the session to write. It
// has left them all, in good order: a hub that has dismissed it is about to end it.
func (s *Session) hubsDrained() bool {
	if s.lagged.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.members) == 0
}

// holdsPublisher reports whether a publisher waits for the session.
func (s *Session) holdsPublisher() bool {
	for _, m := range s.membersNow() {
		m.hub.mu.Lock()
		gated := m.gated
		m.hub.mu.Unlock()
		if gated {
			return true
		}
	}
	return false
}

// A hubMark is how far into a hub's log a Flush of the session has to wait.
type hubMark struct {
	m   *member
	end int64
}

// markHubs returns where the session's hubs are now.
func (s *Session) markHubs() []hubMark {
	var marks []hubMark
	for _, m := range s.membersNow() {
		m.hub.mu.Lock()
		end := min(m.hub.log.Head().Weight, m.end)
		m.hub.mu.Unlock()
		marks = append(marks, hubMark{m, end})
	}
	return marks
}

// hubsPast reports whether all before marks is written.
func hubsPast(marks []hubMark) bool {
	for _, k := range marks {
		if k.m.written.Load() < k.end {
			return false
		}
	}
	return true
}
