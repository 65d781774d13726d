package chanio

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// A pinging watches a silent peer: it is sent a ping, and if nothing arrives
// after that either, it is considered dead.
type pinging struct {
	due    atomic.Bool // the writer is to send a ping
	sentAt moment      // when a still unanswered ping was sent; 0: none. Guarded by the session's mu
}

// pingRule sends a ping when nothing was received for PingInterval, and ends a
// session that receives nothing for PingTimeout after that. Time in which the
// user does not receive does not count against the peer: its data may not have
// been read.
func (s *Session) pingRule(now moment, l life, _ sight) (moment, func()) {
	if s.pings == nil || l.closing() || l.input() != inputOpen || l.output() == outputFailed {
		return endless, nil
	}
	p, interval, timeout := s.pings, int64(s.set.PingInterval), int64(s.set.PingTimeout)
	heard := s.timers.heard.Load()
	if s.timers.blocked.Load() != 0 {
		heard = now
	}
	if heard >= p.sentAt { // a ping is sent well after what was received before it
		p.sentAt = 0
	}
	due := heard + interval
	if p.sentAt > 0 {
		if due = p.sentAt + interval; timeout > 0 {
			due = p.sentAt + timeout
		}
	}
	switch {
	case due > now:
		return due, nil
	case p.sentAt > 0 && timeout > 0:
		return now, func() { s.end(s.errorAt("session", &timeoutError{"PingTimeout", s.set.PingTimeout})) }
	}
	p.sentAt = now
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
	switch {
	case s.pings == nil || !s.pings.due.Swap(false) || o.last:
	case s.framed != nil:
		o.batch.addChunk(s.framed.reader.Ping(), 0)
	default:
		o.bad = o.batch.add(s.set.Ping, s.set.codec)
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
