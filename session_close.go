package chanio

import (
	"cmp"
	"errors"
	"os"
)

// Close ends the session in order: it refuses new messages, closes Recv,
// flushes what was accepted (what its hubs published before included), sends
// the end of stream, discards input until the peer's end of stream or until 500 ms
// after the peer has acknowledged all, and returns when the session's goroutines
// are gone; all that within Options.CloseTimeout.
//
// It returns nil, unless data that was accepted could not be sent, or was not
// acknowledged: when time ran out the error is os.ErrDeadlineExceeded, Err is the same error, and TCP
// is reset; on udp the error is what the first datagram failed of since the last
// Flush, and Err is nil. It is idempotent, and safe from any goroutine.
func (s *Session) Close() error {
	s.beginClose()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stats.lost.Load() == 0 && !errors.Is(s.closeErr, os.ErrDeadlineExceeded) {
		// It was ended from elsewhere when only the end of stream was left to send.
		if d := s.output.batch.datagrams; d != nil {
			return d.loss.err()
		}
		return nil
	}
	return s.closeErr
}

// beginClose starts what Close waits for.
func (s *Session) beginClose() {
	s.mu.Lock()
	l := s.life()
	if l.over() || l.closing() {
		s.mu.Unlock()
		return
	}
	s.setLife(lifeClosing)
	s.mu.Unlock()
	s.halt() // before the peer can answer our end of stream with its own

	s.mu.Lock()
	after := s.refuse()
	if d := s.set.CloseTimeout; d > 0 {
		s.timers.closeBy = s.timers.now() + int64(d)
		s.armLocked(s.timers.closeBy)
	}
	s.linger()
	failed := s.life().output() == outputFailed
	s.mu.Unlock()
	after()
	if failed {
		s.end(s.cause()) // there is nothing left to do in order
		return
	}
	s.drainOutput()
}

// CloseWrite ends the output in order: what was accepted goes out, then the end
// of stream (FIN, or close_notify on TLS). It does not wait for that. Nothing
// is accepted any more, and the session leaves its hubs behind what was
// published before; it goes on receiving until the peer's end of stream.
//
// It is idempotent and returns an error that is ErrClosed if the session has
// failed. Where there is no half-close (udp, net.Pipe) it starts a Close.
func (s *Session) CloseWrite() error {
	if !s.traits.halfClose {
		s.beginClose()
	} else {
		s.closeOutput()
	}
	if (s.over() || s.life().output() == outputFailed) && s.cause() != nil {
		return s.errorAt("close write", ErrClosed)
	}
	return nil
}

// closeOutput starts what CloseWrite promises.
func (s *Session) closeOutput() {
	if !s.traits.halfClose {
		s.beginClose()
		return
	}
	s.mu.Lock()
	if s.over() {
		s.mu.Unlock()
		return
	}
	after := s.refuse()
	s.mu.Unlock()
	after()
	s.drainOutput()
}

// drainOutput makes the writer send what was accepted and then the end of
// stream. No message must be accepted any more.
func (s *Session) drainOutput() {
	s.leaveHubsBehind()
	s.needWriter()
	s.wakeWriter()
}

// Abort ends the session at once, TCP with a reset: nothing is flushed. Err is
// cause, or ErrClosed if cause is nil. Only the first end of a session counts.
// It does not wait: Done tells when the session is gone.
func (s *Session) Abort(cause error) {
	if cause == nil {
		cause = s.errorAt("session", ErrClosed)
	}
	s.abort(cause)
}

// end ends the session with cause, nil for a clean end, if it has not ended
// yet. The peer sees an orderly end of stream, after what the kernel has.
func (s *Session) end(cause error) { s.terminate(cause, false) }

// abort is end with a reset: what the kernel has may be lost.
func (s *Session) abort(cause error) { s.terminate(cause, true) }

// terminate closes the connection, which ends reader and writer. Only end and
// abort call it.
func (s *Session) terminate(cause error, reset bool) {
	s.mu.Lock()
	l := s.life()
	if l.over() {
		s.mu.Unlock()
		return
	}
	if l.closing() && (!l.written() || errors.Is(cause, os.ErrDeadlineExceeded)) {
		s.closeErr = cause // something may not have been sent
	}
	if s.err == nil {
		s.err = cause
	}
	cause = s.err
	after := s.refuse()
	halt := l.input() == inputOpen || l.input() == inputEnded
	if l.input() == inputOpen {
		s.setInput(inputHalted)
	}
	s.setLife(lifeOver)
	cancel := s.cancel
	s.timers.stop()
	s.mu.Unlock()

	after()
	if halt {
		close(s.halted)
	}
	if cancel != nil {
		cancel(cause)
	}
	s.tr.shut(reset)
	s.leaveHubs()
	s.wakeWriter()
	s.release()
}

// inputEnded notes the peer's end of stream. The session stays writable, until
// HalfCloseTimeout has passed without progress.
func (s *Session) inputEnded() {
	s.mu.Lock()
	l := s.life()
	if l.over() {
		s.mu.Unlock()
		return
	}
	if l.input() == inputHalted {
		s.setInput(inputDrained)
	} else {
		s.setInput(inputEnded)
	}
	both := l.output() == outputEnded || l.output() == outputFailed
	cause := s.writeErr
	if !both {
		s.startHalfClose()
	}
	s.mu.Unlock()
	if both {
		s.end(cause)
	}
}

// startHalfClose bounds for how long the session stays writable without
// progress, now that nothing is received any more. The caller holds mu.
func (s *Session) startHalfClose() {
	if d := s.set.HalfCloseTimeout; d > 0 && !s.life().closing() && s.timers.ended == 0 {
		s.timers.ended, s.timers.queued = s.timers.now(), s.queued()
		s.armLocked(s.timers.ended + int64(d))
	}
}

// outputFailed notes that a write has failed. That ends only the sending: what
// the peer sent before is still read and delivered, and where the peer said why,
// that is the session's error.
func (s *Session) outputFailed(err error) {
	s.mu.Lock()
	l := s.life()
	if l.over() {
		s.mu.Unlock()
		return
	}
	after := s.refuse()
	s.setOutput(outputFailed)
	s.writeErr = err
	reading := l.input() == inputOpen && !l.closing()
	if d := s.set.CloseTimeout; reading && d > 0 {
		s.timers.takenAt = 0
		s.armLocked(s.timers.now() + int64(d)/looks)
	}
	s.mu.Unlock()
	after()
	if !reading {
		s.end(err)
		return
	}
	s.leaveHubs()
}

// cause returns what the session has ended with, or is about to.
func (s *Session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.err, s.writeErr)
}

// inputFailed notes that the input failed while it was being discarded.
func (s *Session) inputFailed(err error) {
	if s.life().written() {
		err = nil // all that we promised is done, and nobody reads what comes
	} else {
		err = s.errorAt("read", err)
	}
	s.end(err)
}

// endOutput sends the end of stream, behind all that was written.
func (s *Session) endOutput() {
	s.mu.Lock()
	if s.over() {
		s.mu.Unlock()
		return
	}
	s.setOutput(outputWritten) // before the peer can see the end, and act on it
	s.mu.Unlock()
	var err error
	if s.traits.halfClose {
		err = s.tr.closeWrite()
	}
	s.mu.Lock()
	l := s.life()
	if !l.over() {
		s.setOutput(outputEnded)
	}
	both := l.atEnd() || !s.traits.halfClose
	s.linger()
	s.mu.Unlock()
	switch {
	case both, err != nil && l.closing(): // all was written: there is nothing to lose
		s.end(nil)
	case err != nil:
		s.end(s.errorAt("close write", err))
	}
}

// linger starts the wait for the peer's end of stream, if ours was sent and what
// arrives is thrown away. The caller holds mu.
func (s *Session) linger() {
	l := s.life()
	if (l.closing() || l.input() == inputHalted) && l.output() == outputEnded && s.timers.linger == 0 {
		s.timers.linger = s.timers.now()
		s.armLocked(s.timers.linger)
	}
}
