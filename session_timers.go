package chanio

import (
	"math"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/readable"
	"example.com/chanio/internal/sock"
)

// A moment is nanoseconds since the session's settings were resolved; 0 means none.
type moment = int64

const endless moment = math.MaxInt64

// looks is how often per timeout the timer checks what cannot wake it: what the
// peer has acknowledged, and whether the user receives.
const looks = 8

// unreadLook is how often the timer checks whether the peer of a session with a
// full Recv is gone.
const unreadLook = time.Second

// sessionTimers are a session's one timer and the data that it judges by. The
// reader and the writer only store moments here. When the timer fires, the
// rules say what is due and when to look again, which makes a few timer
// operations per timeout rather than one per message. The session's life tells the phase:
// open, half-closed, closing, lingering or failing.
type sessionTimers struct {
	armed atomic.Int64 // when the timer fires; 0: never. Written under mu

	heard   atomic.Int64 // when something last arrived, or was received by the user
	blocked atomic.Int64 // since when a message has waited for room in Recv
	message atomic.Int64 // since when a message has been incomplete
	record  atomic.Int64 // since when a TLS record has been incomplete
	waiting atomic.Int64 // since when a write has waited for the peer
	inside  atomic.Int64 // since when the writer has waited inside crypto/tls
	moved   atomic.Int64 // when a waiting or watched write last made progress
	used    atomic.Int64 // after the peer's end of stream: when something was last accepted or written
	watched atomic.Bool  // the timer checks what the peer has acknowledged

	// Guarded by the session's mu.
	unread  bool          // Recv had messages when the timer last looked
	timer   *time.Timer   // nil until it is first needed
	idle    time.Duration // IdleTimeout, if it is being watched
	acked   uint64        // sock.Progress.Acked when the timer last looked
	queued  int           // how many messages waited in Send then
	ended   moment        // when the peer's end of stream was seen
	closeBy moment        // when Close must be done
	linger  moment        // when a closing session sent its end of stream
	ackedAt moment        // when the peer was first seen to have everything after that
	taken   int64         // noteTaken's taken when the timer last looked
	takenAt moment        // when that last changed
}

// now returns the present as a moment, which is never 0.
func (set *settings) now() moment { return int64(time.Since(set.began)) + 1 }

func (s *Session) now() moment { return s.set.now() }

// armBy makes the timer fire at that moment or earlier.
func (s *Session) armBy(at moment) {
	if armed := s.timers.armed.Load(); armed != 0 && armed <= at {
		return
	}
	s.mu.Lock()
	s.armLocked(at)
	s.mu.Unlock()
}

// armLocked is armBy for callers that hold mu.
func (s *Session) armLocked(at moment) {
	t := &s.timers
	armed := t.armed.Load()
	if at == endless || armed != 0 && armed <= at || s.over() {
		return
	}
	t.armed.Store(at)
	d := time.Duration(at - s.now())
	if t.timer == nil {
		t.timer = time.AfterFunc(d, s.expire)
	} else {
		t.timer.Reset(d)
	}
}

// stop stops the timer permanently. The caller holds mu.
func (t *sessionTimers) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// A sight is what the timer has seen of the socket.
type sight struct {
	sock.Progress
	sock.End
	input  bool   // something has arrived that the reader has not read
	moved  moment // when what was being watched last made progress; 0: nothing was
	before uint64 // the timers' acked before the look
}

// expire is called when the timer fires. A goroutine that changes a moment after
// expire has looked finds armed to be 0 and arms the timer.
func (s *Session) expire() {
	s.mu.Lock()
	s.timers.armed.Store(0)
	before := s.timers.acked
	s.mu.Unlock()
	seen := s.see(before)
	s.mu.Lock()
	if s.over() {
		s.mu.Unlock()
		return
	}
	next, act := s.judge(seen)
	s.armLocked(next)
	s.mu.Unlock()
	if act != nil {
		act()
	}
}

// see looks at the socket, as far as a rule may need.
func (s *Session) see(before uint64) (seen sight) {
	seen.before = before
	t, l := &s.timers, s.life()
	moved := t.moved.Load()
	watched := t.watched.Swap(false)
	if watched {
		seen.moved = moved
	}
	seen.input = (s.set.IdleTimeout > 0 || s.pings != nil || t.message.Load() != 0 || t.record.Load() != 0 || s.failing(l)) && s.inputWaits()
	if s.socket == nil {
		return seen
	}
	if watched || t.waits() != 0 || l.input() != inputOpen || l.closing() {
		seen.Progress = s.socket.Progress()
	}
	if t.blocked.Load() != 0 {
		seen.End = s.socket.End()
	}
	return seen
}

// inputWaits reports whether something waits for the reader, if the system can
// tell. After a pause of the process the timer may run before the reader.
func (s *Session) inputWaits() bool {
	rc, err := s.SyscallConn()
	return err == nil && readable.Now(rc)
}

// judge returns when to look again and what is due now. The caller holds mu.
func (s *Session) judge(seen sight) (next moment, act func()) {
	now, l := s.now(), s.life()
	next = endless
	for _, rule := range [...]func(*Session, moment, life, sight) (moment, func()){
		(*Session).writeRule, // first: it records progress
		(*Session).messageRule,
		(*Session).idleRule,
		(*Session).pingRule,
		(*Session).halfCloseRule,
		(*Session).closeRule,
		(*Session).unreadRule,
		(*Session).failedRule,
	} {
		at, due := rule(s, now, l, seen)
		if due != nil {
			return endless, due
		}
		next = min(next, at)
	}
	return next, nil
}

// noteTaken records whether taken, a measure of progress, has changed since the
// timer last looked. The caller holds mu.
func (s *Session) noteTaken(now moment, taken int64) {
	t := &s.timers
	if taken != t.taken || t.takenAt == 0 {
		t.taken, t.takenAt = taken, now
	}
}

// read is a measure of what the user and the reader have received. The caller
// holds mu.
func (s *Session) read() int64 {
	return s.stats.messagesReceived.Load() - s.unreceived() + s.stats.bytesReceived.Load()
}

// unreceived returns how many messages or batches wait for the user. The caller
// holds mu.
func (s *Session) unreceived() int64 { return int64(len(s.recv) + len(s.recvBatch)) }

// queued returns how many messages and batches wait for the writer.
func (s *Session) queued() int {
	if !s.life().hasWriter() {
		return 0
	}
	o := s.output.Load()
	return len(o.send) + len(o.sendBatch)
}

// waits returns since when the writer has waited for the peer, or 0.
func (t *sessionTimers) waits() moment {
	return earlier(t.waiting.Load(), t.inside.Load())
}

// earlier returns the earlier of two moments, either of which may be none.
func earlier(a, b moment) moment {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// acknowledges reports whether the socket tells how much of what the kernel
// took the peer has acknowledged.
func (s *Session) acknowledges() bool { return s.socket != nil && s.socket.Acknowledges() }

// beginWait records in stamp that the writer is about to wait for the peer.
func (s *Session) beginWait(stamp *atomic.Int64) {
	now, d := s.now(), int64(s.set.WriteTimeout)
	stamp.Store(now)
	if d <= 0 || s.traits.lossy {
		return
	}
	if s.socket != nil {
		d /= looks
	}
	s.armBy(now + d)
}

// look returns how often to check a waiting write that does not report progress
// by itself; 0 means never.
func (s *Session) look() time.Duration { return s.set.WriteTimeout / looks }

// stalled returns how long a write has waited without progress. Any goroutine
// may call it.
func (s *Session) stalled() time.Duration {
	since := s.timers.waits()
	if since == 0 {
		return 0
	}
	return time.Duration(s.now() - max(since, s.timers.moved.Load()))
}

// lookAtProgress records, for stalled, whether the peer has acknowledged more
// since the last look. A hub whose WriteTimeout is d calls it: the session's own
// timer looks only as often as its own WriteTimeout requires. If that is often
// enough, it returns false and does nothing.
func (s *Session) lookAtProgress(d time.Duration) (looked bool) {
	if own := s.look(); s.socket == nil || s.timers.waits() == 0 || own > 0 && own <= d/4 {
		return false
	}
	seen := s.socket.Progress()
	s.mu.Lock()
	s.noteProgress(s.now(), seen)
	s.mu.Unlock()
	return true
}

// noteProgress records whether the peer has acknowledged more since the last
// look. The caller holds mu.
func (s *Session) noteProgress(now moment, seen sock.Progress) {
	if t := &s.timers; seen.Known && seen.Acked != t.acked {
		t.acked = seen.Acked
		t.moved.Store(now)
	}
}

// watchAcknowledged makes the timer check whether the peer acknowledges what
// was written, until it has.
func (s *Session) watchAcknowledged() {
	t, d := &s.timers, int64(s.set.WriteTimeout)
	if d <= 0 || t.watched.Load() || !s.acknowledges() {
		return
	}
	now := s.now()
	t.moved.Store(now)
	t.watched.Store(true)
	s.armBy(now + d/looks)
}

// beginUnread records that a message waits for room in Recv.
func (s *Session) beginUnread() {
	now := s.now()
	s.timers.blocked.Store(now)
	if s.socket != nil {
		s.armBy(now + int64(unreadLook))
	}
}

// endUnread records that it no longer waits.
func (s *Session) endUnread() {
	s.timers.blocked.Store(0)
	s.touch()
}

// touch records that something has arrived, or is in Recv now. It is free
// without IdleTimeout and PingInterval.
func (s *Session) touch() {
	d := int64(s.set.IdleTimeout)
	if d <= 0 && s.pings == nil {
		return
	}
	now := s.now()
	s.timers.heard.Store(now)
	if d > 0 {
		s.armBy(now + max(1, d/looks)) // to see whether it waits in Recv
	}
}

// watchHeard starts the watch for IdleTimeout and PingInterval, if they are
// set.
func (s *Session) watchHeard() {
	if s.set.IdleTimeout <= 0 && s.pings == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.timers.heard.Store(now)
	s.timers.idle = s.set.IdleTimeout
	if s.timers.idle > 0 {
		s.armLocked(now + int64(s.timers.idle))
	}
	if s.pings != nil {
		s.armLocked(now + int64(s.set.PingInterval))
	}
}

// watchMessage starts MessageTimeout before a read that continues a message,
// unless it is already running for that message. Time in which the user does
// not receive does not count.
func (s *Session) watchMessage(begun bool) {
	if begun {
		s.watchPart(&s.timers.message)
	}
}

// watchPart starts MessageTimeout for what began at stamp, unless it is
// running.
func (s *Session) watchPart(stamp *atomic.Int64) {
	d := s.set.MessageTimeout
	if d <= 0 || stamp.Load() != 0 {
		return
	}
	now := s.now()
	stamp.Store(now)
	s.armBy(now + int64(d))
}

// messageWhole stops MessageTimeout: the message is complete.
func (s *Session) messageWhole() {
	if s.timers.message.Load() != 0 {
		s.timers.message.Store(0)
	}
}
