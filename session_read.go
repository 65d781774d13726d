package chanio

import (
	"errors"
	"io"
	"net"
	"os"
)

const (
	// blockSize is how much one read takes at most, and how many bytes of small
	// messages one write carries.
	blockSize = 64 << 10
	// smallBlockSize holds a small message in most programs.
	smallBlockSize = 4 << 10
)

// errHalted tells the reader to deliver nothing more.
var errHalted = errors.New("chanio: delivering has stopped")

// A framingError ends an input in which no more messages can be found. The
// connection is intact, and output continues.
type framingError struct{ error }

func (e framingError) Unwrap() error { return e.error }

// readLoop is the reader of a session over a connection. start starts it. It
// ends with the input, at the latest when terminate closes the connection.
func (s *Session) readLoop(t input) { s.endInput(t, s.receive(t)) }

// endInput ends the reader, for the reason that receive returned.
func (s *Session) endInput(t input, err error) {
	defer s.release()
	defer s.records.endInput()
	var framed *framedEnd
	var framing framingError
	switch {
	case errors.As(err, &framed):
		s.endFramed(t, framed)
	case errors.Is(err, errHalted):
		s.closeRecv()
		t.resume()
		s.discard(t)
	case err == io.EOF:
		if cut := s.cutShort(t); cut != nil {
			s.end(cut)
		} else {
			s.inputEnded()
		}
		s.closeRecv()
	case errors.As(err, &framing):
		if s.breakInput(s.errorAt("read", framing.error)) {
			t.resume()
		}
		s.closeRecv()
		s.discard(t)
	default:
		s.records.flushAlert()
		s.noteReset(err)
		s.end(s.inputError(err))
		s.closeRecv()
	}
}

// receive reads and delivers until the input ends, and returns why: io.EOF,
// errHalted, a framingError, a framedEnd or another error.
func (s *Session) receive(t input) error {
	// Not on the stack: a reader that waits then makes do with the smallest one.
	in := t.inbox()
	in.codec, in.limit = s.reading(), int(min(int64(s.set.MaxMessage), maxBatch-blockSize))
	defer in.free()
	defer s.messageWhole() // stops MessageTimeout on every return
	for {
		readErr, err := s.fill(in, t)
		if s.over() {
			return errHalted // shut drains the socket, so what was read may follow a gap
		}
		if readErr == io.EOF && err == nil {
			if s.life().input() == inputHalted {
				return io.EOF // an incomplete message is no loss then
			}
			err = in.final()
		}
		if e := s.deliver(in); e != nil {
			return e
		}
		s.touch() // again: a framing may take long
		switch {
		case err != nil:
			return framingError{err}
		case readErr != nil:
			return s.readError(readErr)
		}
	}
}

// fill reads once, unless in may hold more messages already. It returns the
// read's error and the framing's. The error of a read that also returned data is
// left to the next fill: everything in that data is delivered first.
func (s *Session) fill(in *inbox, t input) (readErr, err error) {
	switch {
	case in.more:
		return nil, in.again()
	case in.late != nil:
		return in.late, nil
	}
	s.framed.settle()
	s.watchMessage(in.have > 0 || s.framed.partial())
	w := in.window()
	buf, n, readErr := t.read(w)
	if n > 0 {
		s.received(n)
		in.late, readErr = readErr, nil
		err = in.took(w, buf, n)
	} else if buf != w.buf {
		free(buf)
	}
	return readErr, err
}

// received counts n bytes that have arrived.
func (s *Session) received(n int) {
	s.stats.bytesReceived.Add(int64(n))
	s.touch()
}

// readError distinguishes a reader interrupted by halt from a failed one.
func (s *Session) readError(err error) error {
	if err == io.EOF {
		return err
	}
	if s.life().input() == inputHalted && errors.Is(err, os.ErrDeadlineExceeded) {
		<-s.halted.wait() // halt closes it right after the interruption
	}
	if s.halted.isShut() {
		if _, failed := errors.AsType[errorNumber](err); failed {
			s.inputFailed(err) // the next read would find a clean end
		}
		return errHalted
	}
	return err
}

// discard throws input away until it ends. A kernel that closes a connection
// with unread input resets it, and the peer would lose what was flushed.
func (s *Session) discard(t input) {
	for {
		b, _, err := t.read(window{to: blockSize})
		free(b)
		_, framing := err.(framingError)
		switch {
		case err == nil, framing:
		case err == io.EOF:
			s.inputEnded()
			return
		default:
			s.inputFailed(err)
			return
		}
	}
}

// breakInput is halt by the reader itself; err, which becomes Err, says why there
// are no more messages in the input. The session stays writable as after the
// peer's end of stream. If halt had already been called, breakInput reports that,
// and err does not count: the input is being discarded.
func (s *Session) breakInput(err error) (halted bool) {
	s.mu.Lock()
	if l := s.life(); l.over() || l.input() != inputOpen {
		s.mu.Unlock()
		<-s.halted.wait()
		return true
	}
	if s.err == nil {
		s.err = err
	}
	s.setInput(inputHalted)
	s.startHalfClose()
	s.linger()
	s.halted.shut()
	s.mu.Unlock()
	return false
}

// halt stops delivering: recv is closed and input is discarded.
func (s *Session) halt() {
	s.mu.Lock()
	if l := s.life(); l.over() || l.input() != inputOpen {
		s.mu.Unlock()
		return
	}
	s.setInput(inputHalted)
	s.linger()
	s.mu.Unlock()

	// The order matters: a goroutine that sees halted closed can undo the interruption.
	s.tr.interrupt()
	s.halted.shut()
	s.heardOf()
}

// cutShort returns an error if an end of stream that was read is not one. Only
// the first system call after a reset reports it, and that call may have been
// the writer's; all others behave as if the peer had ended the stream. A reset
// after the peer's end of stream, by a peer that has closed and takes no more, cuts
// off no input: Linux then tells a writer EPIPE (tcp_reset, in CLOSE_WAIT). Nor
// is there more after a close_notify.
func (s *Session) cutShort(t input) error {
	if s.records.notified() || s.life().written() {
		return nil
	}
	if err := t.broken(); err != nil && !errors.Is(err, errBrokenPipe) {
		return s.errorAt("write", err)
	}
	return nil
}

// inputError returns the error of a session whose reading failed with err. If
// the output failed before, what the peer said about that (a TLS alert) is more
// informative, and what the network says is less so.
func (s *Session) inputError(err error) error {
	s.mu.Lock()
	failed := s.writeErr
	s.mu.Unlock()
	var errno errorNumber
	if failed != nil && (errors.As(err, &errno) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)) {
		return failed
	}
	return s.errorAt("read", err)
}
