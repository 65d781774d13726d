package chanio

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A pinging is the watch over a peer from which nothing comes: it is sent a
// ping, and if nothing comes after that either, it is dead.
type pinging struct {
	heard  atomic.Int64 // when something came last, in nanoseconds since the session began
	held   atomic.Bool  // the reader waits for who receives: what came may not have been read
	due    atomic.Bool  // the writer is to send a ping
	sentAt int64        // the ping that nothing has come after, as heard; 0: none. The timer's
}

// startPings starts the watch, if there is one.
func (s *Session) startPings() {
	if s.pings == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over() {
		s.timers.ping = time.AfterFunc(s.set.PingInterval, s.pingExpired)
	}
}

// hears notes that something has come, and holds that the reader does not read
// because nobody receives. Both cost nothing without PingInterval.
func (s *Session) hears() {
	if s.pings != nil {
		s.pings.heard.Store(int64(time.Since(s.timers.began)))
	}
}

func (s *Session) holds(held bool) {
	if s.pings == nil {
		return
	}
	s.hears() // time in which nobody received is not the peer's
	s.pings.held.Store(held)
}

// pingExpired looks how long nothing has come, and when to look again.
func (s *Session) pingExpired() {
	if s.life().input() != inputOpen {
		return // nothing is expected any more
	}
	p, interval, timeout := s.pings, int64(s.set.PingInterval), int64(s.set.PingTimeout)
	now, heard := int64(time.Since(s.timers.began)), p.heard.Load()
	if p.held.Load() {
		heard = now
	}
	if heard > p.sentAt {
		p.sentAt = 0
	}
	again := heard + interval - now
	switch {
	case p.sentAt == 0 && again > 0:
	case p.sentAt > 0 && timeout > 0:
		if again = p.sentAt + timeout - now; again <= 0 {
			s.end(s.errorAt("session", &timeoutError{"PingTimeout", s.set.PingTimeout}))
			return
		}
	default:
		p.sentAt = max(now, 1)
		p.due.Store(true)
		s.needWriter()
		s.wakeWriter()
		if again = interval; timeout > 0 {
			again = timeout
		}
	}
	s.mu.Lock()
	if !s.over() {
		s.timers.ping.Reset(time.Duration(again))
	}
	s.mu.Unlock()
}

// gatherPing takes a ping that is due into the batch.
func (s *Session) gatherPing(o *writerState) error {
	if s.pings == nil || !s.pings.due.Swap(false) || o.last {
		return nil
	}
	if s.framed != nil {
		o.batch.addChunk(s.framed.reader.Ping(), 0)
		return nil
	}
	return o.batch.add(s.set.Ping, s.set.codec)
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
