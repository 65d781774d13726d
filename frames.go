package chanio

import (
	"fmt"
	"io"
	"time"
)

const (
	// smallMessage is the size up to which messages share a slab, and slabSize
	// is a slab's: who keeps one small message keeps that much at the most.
	smallMessage = 128
	slabSize     = 1 << 10
	// restChunk is how much more of a read is looked at to complete a message
	// of unknown length that began in the read before.
	restChunk = 512
)

// A deframer cuts what the reader reads into messages. Between reads it holds
// the beginning of a message that is not whole, and no more than has arrived.
type deframer struct {
	codec codec
	limit int
	rest  []byte // the beginning of a message
	seen  int    // how much of rest was scanned
	need  int    // how long rest must be for another scan to be of use; 0: unknown
	slab  []byte // where the next small messages go
}

// receiveFrames is receive under a framing.
func (s *Session) receiveFrames(t *stream) error {
	d := deframer{codec: s.reading(), limit: s.set.MaxMessage}
	defer s.messageWhole() // disarms, however it ends
	for {
		s.framed.settle()
		s.watchMessage(len(d.rest) > 0 || s.framed.partial())
		b, n, err := t.read()
		if n > 0 {
			s.received(n)
			if err := s.deliverFrames(&d, b.b[:n]); err != nil {
				return err
			}
		}
		if b != nil {
			b.free()
		}
		if err == io.EOF {
			return s.deliverRest(&d)
		}
		if err != nil {
			return s.readError(err)
		}
	}
}

// deliverFrames delivers what is whole with p, and keeps the rest.
func (s *Session) deliverFrames(d *deframer, p []byte) error {
	for len(d.rest) > 0 && len(p) > 0 {
		m, used, err := d.complete(p)
		if err != nil {
			return err
		}
		p = p[used:]
		if m != nil {
			if err := s.deliverFrame(m); err != nil {
				return err
			}
		}
	}
	for len(p) > 0 {
		m, used, need, err := d.codec.scan(p, 0, d.limit)
		if err != nil {
			return err
		}
		if used == 0 {
			d.keep(p, need)
			return nil
		}
		p = p[used:]
		if m == nil {
			continue
		}
		if err := s.deliverFrame(d.own(m)); err != nil {
			return err
		}
	}
	return nil
}

// deliverFrame delivers one message.
func (s *Session) deliverFrame(m []byte) error {
	s.messageWhole()
	s.stats.messagesReceived.Add(1)
	return s.deliver(m)
}

// deliverRest delivers what the end of the stream makes a message of the rest.
func (s *Session) deliverRest(d *deframer) error {
	if s.framed != nil {
		if _, err := s.framed.final(d.rest); err != nil {
			return err
		}
		return io.EOF
	}
	if len(d.rest) > 0 {
		m, err := d.codec.final(d.rest)
		if err != nil {
			return fmt.Errorf("end of stream inside a message, behind %d bytes of it: %w", len(d.rest), err)
		}
		if err := s.deliverFrame(d.own(m)); err != nil {
			return err
		}
	}
	return io.EOF
}

// keep makes p the beginning of the next message.
func (d *deframer) keep(p []byte, need int) {
	d.rest = append([]byte(nil), p...)
	d.scanned(need)
}

// scanned notes what a scan of rest that found nothing has told.
func (d *deframer) scanned(need int) {
	d.seen, d.need = len(d.rest), need
	if need <= d.seen+1 {
		d.need = 0 // one more byte is what anything needs
	}
}

// complete adds to rest as much of p as the message may need, and returns how
// much of p that used, and the message if it is whole, nil if there was none in
// what was taken. Then there
// is no rest, unless a user's Framing had to look past the message's end: then
// that much of rest begins the next one, and nothing of p is used.
func (d *deframer) complete(p []byte) (m []byte, used int, err error) {
	before := len(d.rest)
	take := max(before, restChunk)
	if d.need > 0 {
		take = d.need - before
	}
	take = min(take, len(p))
	d.grow(take)
	d.rest = append(d.rest, p[:take]...)
	if len(d.rest) < d.need {
		return nil, take, nil
	}
	m, n, need, err := d.codec.scan(d.rest, d.seen, d.limit)
	if err != nil {
		return nil, 0, err
	}
	if n == 0 {
		d.scanned(need)
		return nil, take, nil
	}
	if m != nil && (d.foreign() || len(m) < len(d.rest)/2 || len(m) <= smallMessage) {
		m = d.own(m)
	} // else it keeps the memory in which it was gathered
	d.seen, d.need = 0, 0
	if n < before {
		d.rest = d.rest[n:before]
		return m, 0, nil
	}
	d.rest = nil
	return m, n - before, nil
}

// foreign reports whether a message may be in memory that is not the buffer's.
func (d *deframer) foreign() bool {
	switch d.codec.(type) {
	case userFraming, *framedState:
		return true
	}
	return false
}

// grow makes room for n more bytes in rest: with what arrived, doubling, and
// not past the message's end where that is known.
func (d *deframer) grow(n int) {
	if len(d.rest)+n <= cap(d.rest) {
		return
	}
	size := max(2*cap(d.rest), len(d.rest)+n)
	if d.need > 0 {
		size = max(min(size, d.need), len(d.rest)+n)
	}
	d.rest = append(make([]byte, 0, size), d.rest...)
}

// own returns a copy of m for the receiver to keep, never nil, whose capacity
// is its length. Small messages are cut from a slab: an allocation for each
// would cost more than all else about them.
func (d *deframer) own(m []byte) []byte {
	if len(m) == 0 {
		return []byte{}
	}
	if len(m) > smallMessage {
		m = append([]byte(nil), m...)
		return m[:len(m):len(m)]
	}
	if len(m) > cap(d.slab)-len(d.slab) {
		d.slab = make([]byte, 0, slabSize)
	}
	start := len(d.slab)
	d.slab = append(d.slab, m...)
	return d.slab[start:len(d.slab):len(d.slab)]
}

// watchMessage arms MessageTimeout before a read that is to go on with a
// message, unless it is armed for that message already. Time in which nobody
// received is not the peer's and does not count.
func (s *Session) watchMessage(begun bool) {
	d := s.set.MessageTimeout
	if !begun || d <= 0 || s.timers.messageOn {
		return
	}
	s.timers.messageOn = true
	if s.timers.message == nil {
		s.mu.Lock()
		s.timers.message = time.AfterFunc(d, s.messageExpired)
		s.mu.Unlock()
		return
	}
	s.timers.message.Reset(d)
}

// messageWhole disarms it.
func (s *Session) messageWhole() {
	if s.timers.messageOn {
		s.timers.messageOn = false
		s.timers.message.Stop()
	}
}

// messageExpired ends a session whose peer began a message and did not end it.
func (s *Session) messageExpired() {
	s.end(s.errorAt("read", &timeoutError{"MessageTimeout", s.set.MessageTimeout}))
}
