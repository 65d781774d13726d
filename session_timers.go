package chanio

import (
	"fmt"
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

// lingerTimeout is how long Close reads on, after the peer has all that was sent,
// for the peer's end of stream.
const lingerTimeout = 500 * time.Millisecond

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

// writeRule ends a session whose peer takes nothing for WriteTimeout: of a write
// that waits, or of what the kernel holds and the peer does not acknowledge.
//
// TCP_USER_TIMEOUT would do the second, but it also cuts keep-alive short: an
// idle peer would have to answer the first probe (tcp(7)).
func (s *Session) writeRule(now moment, l life, seen sight) (moment, func()) {
	t, d := &s.timers, int64(s.set.WriteTimeout)
	if seen.Known && seen.Acked != t.acked {
		t.acked = seen.Acked
		t.moved.Store(now)
	}
	left := s.acknowledges() && seen.Left > 0
	if left {
		t.watched.Store(true)
	}
	since := t.waits()
	if d <= 0 || s.traits.lossy || since == 0 && !left || l.output() == outputFailed {
		return endless, nil
	}
	due := max(since, t.moved.Load()) + d
	switch {
	case due <= now:
		return now, s.writeExpired
	case seen.Known:
		due = min(due, now+d/looks)
	}
	return due, nil
}

// messageRule ends a session whose peer began a message and did not end it.
func (s *Session) messageRule(now moment, l life, _ sight) (moment, func()) {
	since, d := earlier(s.timers.message.Load(), s.timers.record.Load()), s.set.MessageTimeout
	if since == 0 || d <= 0 || l.closing() {
		return endless, nil
	}
	if due := since + int64(d); due > now {
		return due, nil
	}
	return now, func() { s.end(s.errorAt("read", &timeoutError{"MessageTimeout", d})) }
}

// idleRule ends a session that has received nothing for IdleTimeout. Time in
// which what came was not received by the user is not the peer's, and does not
// count; nor does time in which nothing can come any more.
func (s *Session) idleRule(now moment, l life, _ sight) (moment, func()) {
	t := &s.timers
	d := int64(t.idle)
	if d <= 0 || l.closing() || l.input() != inputOpen || l.output() == outputFailed {
		return endless, nil
	}
	unread := t.blocked.Load() != 0 || s.unreceived() > 0
	if unread || t.unread {
		t.unread = unread
		t.heard.Store(now)
	}
	due := t.heard.Load() + d
	switch {
	case due <= now:
		return now, func() { s.end(s.errorAt("session", &timeoutError{"IdleTimeout", t.idle})) }
	case unread:
		due = now + max(1, d/looks)
	}
	return due, nil
}

// halfCloseRule ends a session that has neither accepted nor written anything for
// HalfCloseTimeout since its peer's end of stream.
func (s *Session) halfCloseRule(now moment, l life, _ sight) (moment, func()) {
	t, d := &s.timers, s.set.HalfCloseTimeout
	if d <= 0 || t.ended == 0 || l.closing() || l.written() || l.output() == outputFailed {
		return endless, nil
	}
	if n := s.queued(); n != t.queued { // accepted, while the writer waits
		t.queued = n
		t.moved.Store(now)
	}
	if due := max(t.ended, t.moved.Load()) + int64(d); due > now {
		return due, nil
	}
	return now, s.halfCloseExpired
}

// closeRule bounds Close: by CloseTimeout, and once the peer has all that was
// sent by lingerTimeout. That also bounds what follows our end of stream where
// what arrives is thrown away.
func (s *Session) closeRule(now moment, l life, seen sight) (moment, func()) {
	t := &s.timers
	if !l.closing() && t.linger == 0 {
		return endless, nil
	}
	next := endless
	if t.closeBy != 0 {
		next = t.closeBy
	}
	left := s.acknowledges() && seen.Left > 0
	if l.output() == outputEnded {
		left = left && seen.Left > 1 // the end of stream alone is no loss
		if t.ackedAt == 0 && !left {
			t.ackedAt = now
		}
		if t.ackedAt != 0 {
			next = min(next, t.ackedAt+int64(lingerTimeout))
		}
	}
	switch {
	case next <= now && l.written() && !left:
		return now, func() { s.end(nil) }
	case next <= now:
		return now, s.closeExpired
	case l.output() == outputEnded && t.ackedAt == 0:
		wait := min(max(now-t.linger, int64(time.Millisecond)), int64(50*time.Millisecond))
		next = min(next, now+wait)
	}
	return next, nil
}

// unreadRule ends a session whose peer has gone, where the user does not receive
// what it has sent before: the reader, which waits for that, would never see it.
// It is given the time that it has where the end is seen, from when it last
// received or sent something.
func (s *Session) unreadRule(now moment, l life, seen sight) (moment, func()) {
	t := &s.timers
	if s.socket == nil || t.blocked.Load() == 0 || l.closing() || l.output() == outputFailed {
		return endless, nil
	}
	next := now + int64(unreadLook)
	if !seen.Ended {
		t.takenAt = 0
		return next, nil
	}
	d, end := s.set.HalfCloseTimeout, s.halfCloseExpired
	if seen.Failed {
		d, end = s.set.CloseTimeout, func() { s.end(s.errorAt("read", errPeerReset)) }
	}
	s.noteTaken(now)
	if d <= 0 {
		return next, nil
	}
	if due := t.takenAt + int64(d); due > now {
		return min(next, due), nil
	}
	return now, end
}

// failedRule ends a session whose output has failed, and whose input has made no
// progress for CloseTimeout.
func (s *Session) failedRule(now moment, l life, _ sight) (moment, func()) {
	d := int64(s.set.CloseTimeout)
	if l.output() != outputFailed || d <= 0 {
		return endless, nil
	}
	s.noteTaken(now)
	due := s.timers.takenAt + d
	if due <= now {
		return now, func() { s.end(s.cause()) }
	}
	return min(due, now+d/looks), nil
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

// queued returns how many messages and batches wait for the writer.
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

// writeExpired ends a session whose peer took nothing for WriteTimeout.
func (s *Session) writeExpired() {
	var err error = &timeoutError{"WriteTimeout", s.set.WriteTimeout}
	// In this order: a member that is gated no more may be dismissed.
	if s.holdsPublisher() || s.hubs.lagged.Load() {
		err = fmt.Errorf("%w: %w", ErrLagged, err)
	}
	s.abort(s.errorAt("write", err))
}

// halfCloseExpired ends a session that is half-closed: with a reset if the peer
// has not taken something.
func (s *Session) halfCloseExpired() {
	err := s.errorAt("session", &timeoutError{"HalfCloseTimeout", s.set.HalfCloseTimeout})
	if s.stats.bytesPending.Load() > 0 || s.queued() > 0 {
		s.abort(err)
		return
	}
	s.end(err)
}

// closeExpired ends a Close that ran out of time.
func (s *Session) closeExpired() {
	s.abort(s.errorAt("close", &timeoutError{"CloseTimeout", s.set.CloseTimeout}))
}
