package chanio

import (
	"cmp"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/sharedlog"
)

// A member is a session's place in a hub: where it reads in the log. There is
// one for each session and hub, however often the session leaves and rejoins.
//
// A member counts its own progress: the total weight due to it, and how much of
// that is taken and written. Messages in the log that are not for it thus do
// not matter.
type member struct {
	feed *feed
	s    *Session

	// taken is how much was taken for a write or skipped, and written how much
	// of that is done.
	taken, written atomic.Int64

	// waits is what others wait for; usually nil. It is set under the hub's mu.
	waits atomic.Pointer[memberWaits]

	// mu lets the writer of an active member proceed without the hub's mu.
	// Changing what it guards from elsewhere, or knowing that the member is
	// parked, requires the hub's mu as well.
	mu     sync.Mutex
	behind *backlog         // what it reads first; nil if nothing
	cursor sharedlog.Cursor // what it reads next, if it has not left

	// Guarded by the hub's mu.
	base  int64 // before this stay: what was due to it, less where the stay begins in the log; after it left: all that is due
	index int32 // its index in feed.places, which tells whether it is parked or has left; -1 once unlinked

	// Guarded by the session's mu.
	slot int32 // its index in the session's list

	// Used only by the writer.
	messages uint32 // taken and not yet written
	bytes    uint32
}

// A backlog is what a member has yet to read from earlier stays, or from before
// a message that was not for it.
type backlog struct {
	parts []part
	after *hubMark // what it must take from another hub before it continues at its cursor; may be nil
}

// A part is a part of the log that a member reads.
type part struct {
	sharedlog.Part
	after *hubMark // as a backlog's
}

// taken reports whether everything before k is taken. A nil hubMark is.
func (k *hubMark) taken() bool { return k == nil || k.m.taken.Load() >= k.aim }

// memberWaits are what others wait for from a member.
type memberWaits struct {
	gated bool         // publishers wait for it; guarded by the hub's mu
	need  atomic.Int64 // publishers want to know when it has taken this much, or never
	mark  atomic.Int64 // Flushes want to know when it has written this much, or never
	marks *flushMark   // the Flushes; guarded by the hub's mu

	// When publishers first found it lagging, and how much it must have taken
	// to no longer lag. Guarded by the hub's mu.
	late      time.Time
	lateUntil int64
}

// never is more than any member takes.
const never = math.MaxInt64

// waiting returns m's waits. The caller holds the hub's mu.
func (m *member) waiting() *memberWaits {
	w := m.waits.Load()
	if w == nil {
		w = new(memberWaits)
		w.need.Store(never)
		w.mark.Store(never)
		m.waits.Store(w)
	}
	return w
}

// gone reports whether the hub has unlinked m. The caller holds the hub's mu.
func (m *member) gone() bool { return m.index < 0 }

// left reports whether m is no longer a member, whether or not it has taken
// everything due to it. The caller holds the hub's mu.
func (m *member) left() bool { return m.gone() || m.index >= m.feed.staying }

// gated reports whether publishers wait for m. The caller holds the hub's mu.
func (m *member) gated() bool {
	w := m.waits.Load()
	return w != nil && w.gated
}

// aim returns how much has ever been due to m. The caller holds the hub's mu.
func (m *member) aim() int64 {
	if m.left() {
		return m.base
	}
	return m.base + m.feed.head()
}

// lag returns how much is due to m and not taken. The caller holds the hub's
// mu.
func (m *member) lag() int64 { return m.aim() - m.taken.Load() }

// settled records that everything due to m is written. The caller holds the
// hub's mu and knows that the writer holds nothing of m.
func (m *member) settled() {
	m.taken.Store(m.aim())
	m.written.Store(m.aim()) // including what it skipped
	m.account()
	if m.waits.Load() != nil && !m.gated() {
		m.waits.Store(nil)
	}
}

// take adds what is next in the log to b. It reports whether m stays active. If
// not, m is parked or gone, and the writer forgets it.
func (m *member) take(b *outBatch) bool {
	for {
		if m.takeNext(b) {
			return true
		}
		// With messages in flight it can't be parked yet, and while it waits
		// for another hub it stays active.
		if m.messages > 0 || m.isHeld() {
			return true
		}
		if m.feed.hub.settle(m) {
			return false
		}
	}
}

// takeNext adds the next chunk to b, if there is one.
func (m *member) takeNext(b *outBatch) bool {
	m.mu.Lock()
	chunk := m.next(b)
	passed := m.took(chunk)
	m.mu.Unlock()
	if chunk.Messages > 0 {
		b.addHubChunk(m, chunk)
	}
	if passed {
		m.feed.hub.pass(m)
	}
	return chunk.Messages > 0
}

// isHeld reports whether m must wait for another hub of its session.
func (m *member) isHeld() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch l := m.behind; {
	case l == nil:
		return false
	case len(l.parts) > 0:
		return !l.parts[0].after.taken()
	default:
		return !l.after.taken() && !m.cursor.Empty()
	}
}

// next takes what is next. For datagrams it records in b where they end. The
// caller holds mu.
func (m *member) next(b *outBatch) (chunk sharedlog.Chunk) {
	limit := uint32(sharedlog.AnyNumber)
	if b.datagrams != nil {
		limit = uint32(max(1, maxPackets-len(b.parts)))
	}
	if l := m.behind; l != nil {
		if len(l.parts) > 0 {
			return m.nextOfPart(b, limit)
		}
		if !l.after.taken() {
			return sharedlog.Chunk{}
		}
		m.behind = nil
	}
	chunk = m.cursor.Next(limit)
	if b.datagrams != nil && chunk.Messages > 0 && chunk.More == nil {
		b.datagrams.ends = m.cursor.Ends(b.datagrams.ends[:0], chunk)
	}
	return chunk
}

// nextOfPart is next for the first part, which is not empty. The caller holds
// mu.
func (m *member) nextOfPart(b *outBatch, limit uint32) (chunk sharedlog.Chunk) {
	p := &m.behind.parts[0]
	if !p.after.taken() {
		return chunk
	}
	chunk = p.Next(limit)
	if b.datagrams != nil && chunk.More == nil {
		b.datagrams.ends = p.Ends(b.datagrams.ends[:0], chunk)
	}
	if p.Rest().Weight == 0 {
		m.dropPart() // at once: publishers may be waiting for the memory
	}
	return chunk
}

// dropPart forgets the first part. The caller holds mu.
func (m *member) dropPart() {
	l := m.behind
	l.parts[0].Release()
	l.parts[0] = part{}
	if l.parts = l.parts[1:]; len(l.parts) == 0 && l.after == nil {
		m.behind = nil
	}
}

// readAfter makes m read what is due to it from now on only after a place in
// another hub's log. The caller holds the hub's mu.
func (m *member) readAfter(k *hubMark) {
	if k.taken() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behind == nil {
		m.behind = new(backlog)
	}
	m.behind.after = k
}

// took records that chunk is in flight. It reports whether that reached the
// point for which publishers wait. The caller holds mu.
func (m *member) took(chunk sharedlog.Chunk) (passed bool) {
	m.messages += uint32(chunk.Messages)
	m.bytes += uint32(chunk.Bytes)
	now := m.taken.Add(chunk.Weight)
	w := m.waits.Load()
	return w != nil && w.need.Load() <= now
}

// wrote records that what was taken is written, except what failed or was lost.
func (m *member) wrote() {
	m.sent() // before a Flush can observe it
	written := m.taken.Load()
	m.written.Store(written)
	if w := m.waits.Load(); w != nil && w.mark.Load() <= written {
		h := m.feed.hub
		h.mu.Lock()
		m.account()
		h.mu.Unlock()
	}
}

// sent counts what is in flight as sent.
func (m *member) sent() {
	m.sentPart(m.messages, m.bytes)
}

// sentPart counts part of what is in flight as sent.
func (m *member) sentPart(messages, bytes uint32) {
	m.feed.hub.sentMessages.Add(int64(messages)) // first: a hub without bytes pending has counted it
	m.feed.hub.sentBytes.Add(int64(bytes))
	m.bytes -= bytes
	m.messages -= messages
}

// lost records that part of what is in flight will never be written.
func (m *member) lost(messages, bytes uint32) {
	m.messages -= messages
	m.bytes -= bytes
	h := m.feed.hub
	h.mu.Lock()
	h.lose(int64(bytes))
	h.mu.Unlock()
}

// failed records that a datagram of n bytes in flight could not be sent.
func (m *member) failed(n int) {
	m.messages--
	m.bytes -= uint32(n)
	h := m.feed.hub
	h.mu.Lock()
	h.lose(int64(n))
	h.counts.dropped++
	h.mu.Unlock()
}

// cut makes what m has yet to read of the log a separate part: what is
// published from now on is not for it. The caller holds the hub's mu.
func (m *member) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, some := m.feed.log.Cut(m.cursor); some {
		if m.behind == nil {
			m.behind = new(backlog)
		}
		m.behind.parts = append(m.behind.parts, part{p, m.behind.after})
		m.behind.after = nil // what follows the part follows that
	}
	m.cursor = sharedlog.Cursor{}
}

// skip moves m to cursor, where it is up to date, and returns how much it will
// not get. The caller holds the hub's mu.
func (m *member) skip(cursor sharedlog.Cursor) (messages, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.cursor.Rest()
	messages, bytes = rest.Messages, rest.Bytes
	var after *hubMark // what it gets next must follow that
	for m.behind != nil && len(m.behind.parts) > 0 {
		rest := m.behind.parts[0].Rest()
		messages += rest.Messages
		bytes += rest.Bytes
		after = cmp.Or(m.behind.parts[0].after, after)
		m.dropPart()
	}
	if m.behind != nil {
		after = cmp.Or(m.behind.after, after)
	}
	m.behind = nil
	if cursor != (sharedlog.Cursor{}) && !after.taken() {
		m.behind = &backlog{after: after}
	}
	m.cursor = cursor
	m.taken.Store(m.aim())
	return messages, bytes
}

// drained reports whether m has nothing to take. The caller holds the hub's mu.
func (m *member) drained() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return (m.behind == nil || len(m.behind.parts) == 0) && m.cursor.Empty()
}

// parted returns the segments that m's parts hold, and the weight that it has
// yet to take of them. The caller holds the hub's mu.
func (m *member) parted() (segments int, weight int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.behind == nil {
		return 0, 0
	}
	for i := range m.behind.parts {
		segments += m.behind.parts[i].Segments()
		weight += m.behind.parts[i].Rest().Weight
	}
	return segments, weight
}

// partsEnd returns about how much m must have taken to hold no parts, never more.
// The caller holds the hub's mu.
func (m *member) partsEnd() int64 {
	taken := m.taken.Load() // first: m may be taking, and that must not count twice
	_, weight := m.parted()
	return taken + weight
}
