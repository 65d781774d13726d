package chanio

import (
	"cmp"
	"errors"
	"os"
)

// Close ends the session gracefully. It refuses new messages, closes Recv,
// flushes what was accepted (including what its hubs published before), sends
// the end of stream, and discards input until the peer's end of stream or until
// 500 ms after the peer has acknowledged everything. It returns when the
// session's goroutines have exited, at most Options.CloseTimeout later. Sessions
// of a udp listener share its socket: a datagram that waits for room there holds
// up Close until Options.WriteTimeout gives it up.
//
// It returns nil unless accepted data could not be sent, or was not acknowledged
// when time ran out or the connection failed, whatever ended the session and
// when. If time ran out, the error is os.ErrDeadlineExceeded, Err is the same
// error, and TCP is reset. If the peer reset TCP before it had acknowledged
// everything, the error is that reset, and so is Err, unless something else had
// ended the session before the reset was noticed. On udp the error is that of
// the first datagram that failed since the last Flush, and Err is nil. Close is
// idempotent and safe to call from any goroutine.
func (s *Session) Close() error {
	s.beginClose()
	<-s.done.wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	lost := s.stats.lost.Load() > 0 && !s.life().written() // after that it counts what was sent too late
	if lost || s.cut || errors.Is(s.closeErr, os.ErrDeadlineExceeded) {
		return cmp.Or(s.closeErr, s.err, s.errorAt("close", ErrClosed))
	}
	// If something else ended it, only the end of stream was left to send.
	if l := s.losses(); l != nil {
		return l.err()
	}
	return nil
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
		s.timers.closeBy = s.now() + int64(d)
		s.armLocked(s.timers.closeBy)
	}
	s.linger()
	failed := s.life().output() == outputFailed
	s.mu.Unlock()
	after()
	if failed {
		s.end(s.cause()) // there is nothing left to flush
		return
	}
	s.drainOutput()
}

// CloseWrite ends the output gracefully: what was accepted is sent, then the
// end of stream (FIN, or close_notify on TLS). It does not wait for that. No
// more messages are accepted, and the session leaves its hubs but still gets
// what they published before. It keeps receiving until the peer's end of
// stream.
//
// CloseWrite is idempotent. It returns an error that is ErrClosed if the
// session has failed. Without half-close (udp, net.Pipe) it starts a Close.
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
// stream. The session must already refuse messages.
func (s *Session) drainOutput() {
	s.leaveHubsBehind()
	s.needWriter()
	s.wakeWriter()
}

// Abort ends the session at once, TCP with a reset. Nothing is flushed. Err is
// cause, or ErrClosed if cause is nil; if the session has already ended, Abort
// does nothing. Abort does not wait: Done is closed when the session has ended.
func (s *Session) Abort(cause error) {
	if cause == nil {
		cause = s.errorAt("session", ErrClosed)
	}
	s.abort(cause)
}

// end ends the session with cause, nil for a clean end, unless it has ended
// already. The peer gets an ordinary end of stream after what the kernel holds,
// unless it has reset the connection and the reader does not know that yet.
func (s *Session) end(cause error) {
	if cause != nil && s.acknowledges() && s.broken(s.socket.End(), s.life()) {
		s.noteCut()
	}
	s.terminate(cause, false)
}

// abort is end with a reset: what the kernel holds may be lost.
func (s *Session) abort(cause error) {
	s.noteCut()
	s.terminate(cause, true)
}

// noteCut records, for Close, whether a connection that has failed or is about
// to be reset loses data that the kernel has taken. Losing only the end of
// stream is no loss.
func (s *Session) noteCut() {
	if !s.acknowledges() {
		return
	}
	left := s.socket.Progress().Left // what it was when the peer reset the connection
	s.mu.Lock()
	s.cut = s.cut || left > s.endSize && !s.over() // what ends it has decided that
	s.mu.Unlock()
}

// terminate closes the connection, which ends reader and writer. Only end and
// abort call it.
func (s *Session) terminate(cause error, reset bool) {
	s.mu.Lock()
	l := s.life()
	if l.over() {
		s.mu.Unlock()
		return
	}
	if l.closing() && (!l.written() || s.cut || errors.Is(cause, os.ErrDeadlineExceeded)) {
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
	ctx := s.ctx
	s.timers.stop()
	s.mu.Unlock()

	after()
	if halt {
		s.halted.shut()
	}
	if ctx != nil {
		ctx.cancel(cause)
	}
	s.tr.shut(reset)
	s.heardOf()
	s.leaveHubs()
	s.wakeWriter()
	s.release()
}

// inputEnded records the peer's end of stream. The session stays writable until
// HalfCloseTimeout passes without progress.
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

// startHalfClose bounds how long the session stays writable without progress,
// now that its input has ended. The caller holds mu.
func (s *Session) startHalfClose() {
	if d := s.set.HalfCloseTimeout; d > 0 && !s.life().closing() && s.timers.ended == 0 {
		s.timers.ended, s.timers.queued = s.now(), s.queued()
		s.armLocked(s.timers.ended + int64(d))
	}
}

// outputFailed records that a write failed. That ends only the output: what the
// peer sent before is still read and delivered. If the peer said why, that is
// the session's error.
func (s *Session) outputFailed(err error) {
	s.noteCut()
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
		s.armLocked(s.now() + int64(d)/looks)
	}
	s.mu.Unlock()
	after()
	if !reading {
		s.end(err)
		return
	}
	s.leaveHubs()
}

// cause returns the error that the session has ended with or is about to.
func (s *Session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.err, s.writeErr)
}

// inputFailed records that the input failed while it was being discarded.
func (s *Session) inputFailed(err error) {
	s.noteReset(err)
	err = s.errorAt("read", err)
	s.mu.Lock()
	if s.life().written() && !s.cut {
		err = nil // everything promised is done, and the input is not read
	}
	s.mu.Unlock()
	s.end(err)
}

// noteReset is noteCut if a read failed with err because the connection has.
func (s *Session) noteReset(err error) {
	var errno errorNumber
	if errors.As(err, &errno) {
		s.noteCut()
	}
}

// endOutput sends the end of stream after everything that was written.
func (s *Session) endOutput() {
	s.mu.Lock()
	if s.over() {
		s.mu.Unlock()
		return
	}
	s.setOutput(outputWritten) // before the peer can see the end and act on it
	s.mu.Unlock()
	size := 0
	if s.traits.halfClose {
		s.watchAcknowledged() // from here on, and not from the last write: that may be long ago
		var err error
		if size, err = s.tr.closeWrite(); err != nil {
			s.endFailed(err)
			return
		}
	}
	s.mu.Lock()
	l := s.life()
	if !l.over() {
		s.setOutput(outputEnded)
		s.endSize = size
	}
	both := l.atEnd() || !s.traits.halfClose
	s.linger()
	s.mu.Unlock()
	if both {
		s.end(nil)
	}
}

// endFailed records that the end of stream could not be sent. Like a write that
// fails, that ends only the output; and it is no failure if the input is not
// read and the peer has everything else.
func (s *Session) endFailed(err error) {
	s.noteCut()
	s.mu.Lock()
	l := s.life()
	// A reset that a write has met reads as an end of stream that was none.
	ended := l.atEnd() && !errors.Is(err, errPeerReset)
	whole := !s.cut && (l.closing() || ended)
	s.mu.Unlock()
	if whole {
		s.end(nil)
		return
	}
	s.outputFailed(s.errorAt("close write", err))
}

// linger starts the wait for the peer's end of stream if ours was sent and
// input is being discarded. The caller holds mu.
func (s *Session) linger() {
	l := s.life()
	if (l.closing() || l.input() == inputHalted) && l.output() == outputEnded && s.timers.linger == 0 {
		s.timers.linger = s.now()
		s.armLocked(s.timers.linger)
	}
}
