package chanio

import (
	"errors"
	"io"
	"os"
)

// errHalted tells the reader that nothing shall be delivered any more.
var errHalted = errors.New("chanio: delivering has stopped")

// readLoop is the reader of a session over a stream. start starts it; it ends with the input,
// at the latest when terminate closes the connection.
func (s *Session) readLoop(t *stream) { s.endInput(t, s.receive(t)) }

// endInput is the end of the reader, for a reason that receive gives.
func (s *Session) endInput(t *stream, err error) {
	defer s.release()
	var framed *framedEnd
	switch {
	case errors.As(err, &framed):
		s.endFramed(t, framed)
	case errors.Is(err, errHalted):
		close(s.recv)
		s.discard(t)
	case err == io.EOF:
		s.inputEnded()
		close(s.recv)
	default:
		s.records.flushAlert()
		s.end(s.errorAt("read", err))
		close(s.recv)
	}
}

// receive reads and delivers until the input ends, and returns why: io.EOF,
// errHalted or an error.
func (s *Session) receive(t *stream) error {
	if s.reading() != nil {
		return s.receiveFrames(t)
	}
	for {
		b, n, err := t.read()
		if n > 0 {
			if err := s.deliver(s.take(b, n)); err != nil {
				return err
			}
		} else if b != nil {
			b.free()
		}
		if err != nil {
			return s.readError(err)
		}
	}
}

// take makes a message of the first n bytes of b, and counts it.
func (s *Session) take(b *slab, n int) []byte {
	s.received(n)
	s.stats.messagesReceived.Add(1)
	return b.take(n)
}

// received counts n bytes that have arrived.
func (s *Session) received(n int) {
	s.stats.bytesReceived.Add(int64(n))
	s.touch()
}

// deliver puts m into recv, unless delivering has stopped.
func (s *Session) deliver(m []byte) error {
	select {
	case s.recv <- m: // a select with one channel is the cheap one
		return nil
	default:
	}
	select {
	case s.recv <- m:
		return nil
	case <-s.halted:
		return errHalted
	}
}

// readError tells a reader that halt has interrupted from a failed one.
func (s *Session) readError(err error) error {
	if err == io.EOF {
		return err
	}
	if s.life().input() == inputHalted && errors.Is(err, os.ErrDeadlineExceeded) {
		<-s.halted // halt closes it right after the interruption
	}
	select {
	case <-s.halted:
		return errHalted
	default:
		return err
	}
}

// discard throws input away until it ends: a kernel that closes a connection
// with unread input resets it, and the peer would lose what was flushed.
func (s *Session) discard(t *stream) {
	t.resume()
	for {
		b, _, err := t.read()
		if b != nil {
			b.free()
		}
		switch {
		case err == nil:
		case err == io.EOF:
			s.inputEnded()
			return
		default:
			s.inputFailed(err)
			return
		}
	}
}

// halt stops delivering: recv is closed and what arrives is thrown away.
func (s *Session) halt() {
	s.mu.Lock()
	if l := s.life(); l.over() || l.input() != inputOpen {
		s.mu.Unlock()
		return
	}
	s.setInput(inputHalted)
	s.mu.Unlock()

	// The order matters: whoever sees halted closed can undo the interruption.
	s.tr.interrupt()
	close(s.halted)
}
