package chanio

import (
	"fmt"
	"time"

	"example.com/chanio/internal/sock"
)

// These are the rules of a session's timer. Each returns when to look again,
// and any due action, which runs after mu is released. The timer holds mu while
// it evaluates them.

// lingerTimeout is how long Close waits for the peer's end of stream after the
// peer has everything that was sent.
const lingerTimeout = 500 * time.Millisecond

// writeRule ends a session whose peer has taken nothing for WriteTimeout: from
// a write that waits, or from what the kernel holds unacknowledged.
//
// TCP_USER_TIMEOUT would do the latter, but it also cuts keep-alive short: an
// idle peer would have to answer the first probe (tcp(7)).
func (s *Session) writeRule(now moment, l life, seen sight) (moment, func()) {
	t, d := &s.timers, int64(s.set.WriteTimeout)
	s.noteProgress(now, seen.Progress)
	left := s.acknowledges() && seen.Left > 0
	if left {
		t.watched.Store(true)
	}
	if left && seen.moved != 0 && t.acked == seen.before {
		t.moved.Store(seen.moved) // a write since the look took its own time for the first one's
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

// messageRule ends a session whose peer began a message and did not finish it. A
// TLS record that is cut where input is discarded takes nothing from anyone.
func (s *Session) messageRule(now moment, l life, seen sight) (moment, func()) {
	since, d := earlier(s.timers.message.Load(), s.timers.record.Load()), s.set.MessageTimeout
	if since == 0 || d <= 0 || l.closing() || l.input() != inputOpen {
		return endless, nil
	}
	if due := since + int64(d); due > now {
		return due, nil
	}
	if s.readerIsLate(l, seen) {
		return now + max(1, int64(d)/looks), nil
	}
	return now, func() { s.end(s.errorAt("read", &timeoutError{"MessageTimeout", d})) }
}

// idleRule ends a session that has received nothing for IdleTimeout. Time in
// which the user or the reader does not receive, or in which nothing can arrive
// any more, does not count.
func (s *Session) idleRule(now moment, l life, seen sight) (moment, func()) {
	t := &s.timers
	d := int64(t.idle)
	if d <= 0 || l.closing() || l.input() != inputOpen || s.failing(l) {
		return endless, nil
	}
	unread := t.blocked.Load() != 0 || s.unreceived() > 0 || seen.input
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

// halfCloseRule ends a session that has neither accepted nor written anything
// for HalfCloseTimeout since its peer's end of stream.
func (s *Session) halfCloseRule(now moment, l life, _ sight) (moment, func()) {
	t, d := &s.timers, s.set.HalfCloseTimeout
	if d <= 0 || t.ended == 0 || l.closing() || l.written() || l.output() == outputFailed {
		return endless, nil
	}
	if n := s.queued(); n != t.queued { // accepted while the writer waits
		t.queued = n
		t.used.Store(now)
	}
	if due := max(t.ended, t.used.Load(), t.moved.Load()) + int64(d); due > now {
		return due, nil
	}
	return now, s.halfCloseExpired
}

// closeRule bounds Close: by CloseTimeout, and by lingerTimeout once the peer
// has everything that was sent. It also bounds what follows our end of stream
// if input is being discarded.
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
		left = left && seen.Left > s.endSize // losing only the end of stream is no loss
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

// unreadRule ends a session whose peer is gone while the user does not receive
// what it sent before. The reader is blocked on that and would never notice.
// The session gets the time that it would have if the end had been read,
// counted from when the user last received or sent something.
func (s *Session) unreadRule(now moment, l life, seen sight) (moment, func()) {
	t := &s.timers
	if s.socket == nil || t.blocked.Load() == 0 || l.closing() || s.failing(l) {
		return endless, nil
	}
	next := now + int64(unreadLook)
	if !seen.Ended {
		t.takenAt = 0
		return next, nil
	}
	d, end := s.set.HalfCloseTimeout, s.halfCloseExpired
	if s.broken(seen.End, l) {
		d, end = s.set.CloseTimeout, func() { s.end(s.errorAt("read", errPeerReset)) }
	}
	s.noteTaken(now, s.read()+s.stats.bytesSent.Load()+int64(s.queued()))
	if d <= 0 {
		return next, nil
	}
	if due := t.takenAt + int64(d); due > now {
		return min(next, due), nil
	}
	return now, end
}

// broken reports whether a connection that looks like e has failed. If our end of
// stream was sent, one that is gone may also have ended in order. l is newer
// than e.
func (s *Session) broken(e sock.End, l life) bool {
	return e.Failed || e.Gone && s.acknowledges() && !l.written()
}

// failing reports whether failedRule judges the session.
func (s *Session) failing(l life) bool { return l.output() == outputFailed && s.set.CloseTimeout > 0 }

// failedRule ends a session whose output has failed and whose input has made no
// progress for CloseTimeout.
func (s *Session) failedRule(now moment, l life, seen sight) (moment, func()) {
	if !s.failing(l) {
		return endless, nil
	}
	d := int64(s.set.CloseTimeout)
	s.noteTaken(now, s.read())
	if s.readerIsLate(l, seen) {
		s.timers.takenAt = now
	}
	due := s.timers.takenAt + d
	if due <= now {
		return now, func() { s.end(s.cause()) }
	}
	return min(due, now+d/looks), nil
}

// readerIsLate reports whether the reader is about to read what has arrived:
// after a pause of the process the timer may run first.
func (s *Session) readerIsLate(l life, seen sight) bool {
	return seen.input && l.input() == inputOpen && s.timers.blocked.Load() == 0
}

// writeExpired ends a session whose peer took nothing for WriteTimeout.
func (s *Session) writeExpired() {
	var err error = &timeoutError{"WriteTimeout", s.set.WriteTimeout}
	// In this order: a member that no longer holds a publisher may be
	// dismissed.
	if s.holdsPublisher() || s.hubs.lagged.Load() {
		err = fmt.Errorf("%w: %w", ErrLagged, err)
	}
	s.abort(s.errorAt("write", err))
}

// halfCloseExpired ends a half-closed session, with a reset if the peer has not
// taken everything.
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
