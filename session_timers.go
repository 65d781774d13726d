package chanio

import (
	"math"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/sock"
)

// A moment is a time since the session was made, in nanoseconds; 0 is none.
type moment = int64

const endless moment = math.MaxInt64

// looks is how often within a timeout the timer looks at what can't wake it: at
// what the peer has acknowledged, and at whether somebody receives.
const looks = 8

// unreadLook is how often it looks whether the peer of a session whose Recv is
// full has gone.
const unreadLook = time.Second

// sessionTimers are the one timer of a session, and what it judges by. The
// reader and the writer only leave moments here; when the timer fires, the rules
// say what is due and when to look again: one timer operation a timeout, not one
// a message. What phase the session is in, open, half-closed, closing, lingering
// or failing, its life tells.
type sessionTimers struct {
	began time.Time
	armed atomic.Int64 // when the timer fires; 0: not at all. Written under mu

	heard   atomic.Int64 // when something was received, or received by the user
	blocked atomic.Int64 // since when a message waits for room in Recv
	message atomic.Int64 // since when a message that began is not whole
	record  atomic.Int64 // since when a record of TLS that began is not
	waiting atomic.Int64 // since when a write waits for the peer
	inside  atomic.Int64 // since when the writer waits inside of crypto/tls
	moved   atomic.Int64 // when a write that waited, or is looked at, last made progress
	watched atomic.Bool  // the timer looks at what the peer has acknowledged

	// Guarded by the session's mu.
	timer   *time.Timer   // nil until it is first needed
	idle    time.Duration // IdleTimeout, of sessions that are watched for it
	unread  bool          // Recv had messages when the timer last looked
	acked   uint64        // of a sock.Progress, when the timer last looked
	queued  int           // how many messages waited in Send then
	ended   moment        // when the peer's end of stream was seen
	closeBy moment        // when Close is to be over
	linger  moment        // when our end of stream was sent, of a session that is closing
	ackedAt moment        // when the peer was seen to have all, after that
	taken   int64         // what the user had received and sent when the timer last looked
	takenAt moment        // when that last changed
}

// now is the present as a moment, which is never 0.
func (t *sessionTimers) now() moment { return int64(time.Since(t.began)) + 1 }

// armBy makes the timer fire at that moment, or before.
func (s *Session) armBy(at moment) {
	if armed := s.timers.armed.Load(); armed != 0 && armed <= at {
		return
	}
	s.mu.Lock()
	s.armLocked(at)
	s.mu.Unlock()
}

// armLocked is armBy for those who hold mu.
func (s *Session) armLocked(at moment) {
	t := &s.timers
	armed := t.armed.Load()
	if at == endless || armed != 0 && armed <= at || s.over() {
		return
	}
	t.armed.Store(at)
	d := time.Duration(at - t.now())
	if t.timer == nil {
		t.timer = time.AfterFunc(d, s.expire)
	} else {
		t.timer.Reset(d)
	}
}

// stop stops the timer for ever. The caller holds mu.
func (t *sessionTimers) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// A sight is what the timer has seen at the socket.
type sight struct {
	sock.Progress
	sock.End
}

// expire is what the timer does. Whoever changes a moment after it has looked
// finds armed to be 0, and arms it.
func (s *Session) expire() {
	s.mu.Lock()
	s.timers.armed.Store(0)
	s.mu.Unlock()
	seen := s.see()
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

// see looks at the socket, as far as a rule may ask.
func (s *Session) see() (seen sight) {
	t := &s.timers
	watched := t.watched.Swap(false)
	if s.socket == nil {
		return seen
	}
	l := s.life()
	if watched || t.waits() != 0 || l.input() != inputOpen || l.closing() {
		seen.Progress = s.socket.Progress()
	}
	if t.blocked.Load() != 0 {
		seen.End = s.socket.End()
	}
	return seen
}

// judge returns when to look again, and what is due now. The caller holds mu.
func (s *Session) judge(seen sight) (next moment, act func()) {
	now, l := s.timers.now(), s.life()
	next = endless
	for _, rule := range [...]func(*Session, moment, life, sight) (moment, func()){
		(*Session).writeRule, // first: it notes progress
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

// noteTaken notes whether the user has received or sent something since the timer
// last looked, or the reader has. The caller holds mu.
func (s *Session) noteTaken(now moment) {
	t := &s.timers
	taken := s.stats.messagesReceived.Load() - s.unreceived() +
		s.stats.bytesReceived.Load() + s.stats.bytesSent.Load() + int64(s.queued())
	if taken != t.taken || t.takenAt == 0 {
		t.taken, t.takenAt = taken, now
	}
}

// unreceived returns how many messages or batches wait for the user. The caller
// holds mu.
func (s *Session) unreceived() int64 { return int64(len(s.recv) + len(s.recvBatch)) }

// queued returns how many messages and batches wait for the writer. The caller holds
// mu.
func (s *Session) queued() int { return len(s.send) + len(s.sendBatch) }

// waits returns since when the writer waits for the peer, 0 if it does not.
func (t *sessionTimers) waits() moment {
	return earlier(t.waiting.Load(), t.inside.Load())
}

// earlier returns the earlier of two moments, of which either may be none.
func earlier(a, b moment) moment {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// acknowledges reports whether the socket tells what the peer has acknowledged of
// what the kernel has taken.
func (s *Session) acknowledges() bool { return s.socket != nil && s.socket.Acknowledges() }

// beginWait notes in stamp that the writer is about to wait for the peer.
func (s *Session) beginWait(stamp *atomic.Int64) {
	now, d := s.timers.now(), int64(s.set.WriteTimeout)
	stamp.Store(now)
	if d <= 0 || s.traits.lossy {
		return
	}
	if s.socket != nil {
		d /= looks
	}
	s.armBy(now + d)
}

// look returns how often a write that waits is looked at, where it tells nothing by
// itself; 0 is never.
func (s *Session) look() time.Duration { return s.set.WriteTimeout / looks }

// stalled returns for how long a write has waited without progress; anybody may
// ask.
func (s *Session) stalled() time.Duration {
	since := s.timers.waits()
	if since == 0 {
		return 0
	}
	return time.Duration(s.timers.now() - max(since, s.timers.moved.Load()))
}

// watchAcknowledged makes the timer look whether the peer acknowledges what was
// written, until it has.
func (s *Session) watchAcknowledged() {
	t, d := &s.timers, int64(s.set.WriteTimeout)
	if d <= 0 || t.watched.Load() || !s.acknowledges() {
		return
	}
	now := t.now()
	t.moved.Store(now)
	t.watched.Store(true)
	s.armBy(now + d/looks)
}

// beginUnread notes that a message waits for room in Recv.
func (s *Session) beginUnread() {
	now := s.timers.now()
	s.timers.blocked.Store(now)
	if s.socket != nil {
		s.armBy(now + int64(unreadLook))
	}
}

// endUnread notes that it waits no more.
func (s *Session) endUnread() {
	s.timers.blocked.Store(0)
	s.touch()
}

// touch notes that something was received. It costs nothing without IdleTimeout
// and PingInterval.
func (s *Session) touch() {
	if s.set.IdleTimeout > 0 || s.pings != nil {
		s.timers.heard.Store(s.timers.now())
	}
}

// watchHeard starts the watch over IdleTimeout and PingInterval, where there are
// such.
func (s *Session) watchHeard() {
	if s.set.IdleTimeout <= 0 && s.pings == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.timers.now()
	s.timers.heard.Store(now)
	s.timers.idle = s.set.IdleTimeout
	if s.timers.idle > 0 {
		s.armLocked(now + int64(s.timers.idle))
	}
	if s.pings != nil {
		s.armLocked(now + int64(s.set.PingInterval))
	}
}

// watchMessage starts MessageTimeout before a read that is to go on with a
// message, unless it runs for that message already. Time in which nobody
// received is not the peer's and does not count.
func (s *Session) watchMessage(begun bool) {
	if begun {
		s.watchPart(&s.timers.message)
	}
}

// watchPart starts MessageTimeout for what began at stamp, unless it runs.
func (s *Session) watchPart(stamp *atomic.Int64) {
	d := s.set.MessageTimeout
	if d <= 0 || stamp.Load() != 0 {
		return
	}
	now := s.timers.now()
	stamp.Store(now)
	s.armBy(now + int64(d))
}

// messageWhole ends it.
func (s *Session) messageWhole() {
	if s.timers.message.Load() != 0 {
		s.timers.message.Store(0)
	}
}
