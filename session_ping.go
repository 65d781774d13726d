package chanio

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// A pinging watches a silent peer: it is sent a ping, and if nothing arrives
// after that either, it is considered dead.
type pinging struct {
	due    atomic.Bool  // the writer must send a ping
	queued bool         // the writer's batch has one; used by the writer only
	taken  atomic.Int64 // when the kernel last took something
	gone   atomic.Int64 // when it had taken the last ping; 0: not yet
	sentAt moment       // when a still unanswered ping was due; 0: none. Guarded by the session's mu
}

// pingRule sends a ping when nothing was received for PingInterval, and ends a
// session that receives nothing for PingTimeout after that. Time in which the
// user does not receive does not count against the peer: its data may not have
// been read. Time in which the peer takes what precedes the ping does not count either.
func (s *Session) pingRule(now moment, l life, seen sight) (moment, func()) {
	if s.pings == nil || l.refusing() || l.input() != inputOpen {
		return endless, nil // nothing arrives any more, or no ping can be sent
	}
	p, interval, timeout := s.pings, int64(s.set.PingInterval), int64(s.set.PingTimeout)
	heard := s.timers.heard.Load()
	if s.timers.blocked.Load() != 0 || seen.input {
		heard = now
	}
	if heard >= p.sentAt { // a ping is sent well after what was received before it
		p.sentAt = 0
	}
	due := heard + interval
	if p.sentAt > 0 {
		sent := p.gone.Load()
		if sent == 0 {
			sent = max(p.sentAt, p.taken.Load())
		}
		if due = p.sentAt + interval; timeout > 0 {
			due = sent + timeout
		}
	}
	switch {
	case due > now:
		return due, nil
	case p.sentAt > 0 && timeout > 0:
		return now, func() { s.end(s.errorAt("session", &timeoutError{"PingTimeout", s.set.PingTimeout})) }
	}
	p.sentAt = now
	p.gone.Store(0)
	p.due.Store(true)
	return now, s.sendPing
}

// sendPing makes the writer send the due ping.
func (s *Session) sendPing() {
	s.needWriter()
	s.wakeWriter()
	s.armBy(s.now()) // evaluates the other rules, and when to look again
}

// gatherPing takes a due ping into the batch.
func (s *Session) gatherPing(o *writerState) {
	if s.pings == nil || !s.pings.due.Swap(false) || o.last || o.bad != nil {
		return
	}
	s.pings.queued = true
	var ping []byte
	if s.framed != nil {
		ping = s.framed.reader.Ping()
	} else {
		ping, o.bad = s.set.codec.AppendFrame(nil, s.set.Ping)
	}
	o.batch.addChunk(ping, 0) // it is not the user's message
}

// progress records that the kernel has taken something; p may be nil.
func (p *pinging) progress(s *Session) {
	if p != nil {
		p.taken.Store(s.now())
	}
}

// wrotePing records that the batch is written.
func (s *Session) wrotePing() {
	if s.pings != nil && s.pings.queued {
		s.pings.queued = false
		s.pings.gone.Store(s.now())
	}
}

// checkPing reports a ping that cannot be sent.
func (o *Options) checkPing() error {
	if o.PingInterval <= 0 {
		return nil
	}
	switch f := o.Framing.(type) {
	case nil:
		return errors.New("chanio: option PingInterval needs a Framing")
	case SessionFraming:
		if o.Ping != nil {
			return fmt.Errorf("chanio: option Ping is not used under %T, which has pings of its own", f)
		}
		return nil
	}
	if o.Ping == nil {
		return errors.New("chanio: option PingInterval needs Ping, the message to send")
	}
	if err := codecOf(o.Framing).accepts(o.Ping); err != nil {
		return fmt.Errorf("chanio: option Ping: %w", err)
	}
	return nil
}
