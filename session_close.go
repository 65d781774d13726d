package chanio

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// lingerTimeout is how long Close reads on, after the end of stream was sent,
// for the peer's end of stream.
const lingerTimeout = 500 * time.Millisecond

// sessionTimers are the session's timers, each nil until it is first needed.
// The session's mu guards setting them.
type sessionTimers struct {
	close    *time.Timer // Close is to be over
	closeBy  time.Time   // when that is, whatever it still waits for
	halfOpen *time.Timer // no write progress since the peer's end of stream
	idle     *time.Timer
	message  *time.Timer // a message that began is to be whole
	ping     *time.Timer // something is to be received

	messageOn bool // message is armed; the reader's

	halfOpenOn atomic.Bool  // halfOpen is armed
	active     atomic.Int64 // last activity, in nanoseconds since began
	began      time.Time    // when the session was made
}

func (t *sessionTimers) stop() {
	for _, timer := range []*time.Timer{t.close, t.halfOpen, t.idle, t.message, t.ping} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// Close ends the session in order: it refuses new messages, closes Recv,
// flushes what was accepted (what its hubs published before included), sends
// the end of stream, discards input until the peer's end of stream or for 500
// ms at most, and returns when the session's goroutines are gone; all that
// within Options.CloseTimeout.
//
// It returns nil, unless data that was accepted could not be sent: when time
// ran out the error is os.ErrDeadlineExceeded, Err is the same error, and TCP
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
	if s.timers.halfOpen != nil {
		s.timers.halfOpenOn.Store(false)
		s.timers.halfOpen.Stop()
	}
	if d := s.set.CloseTimeout; d > 0 {
		s.timers.close = time.AfterFunc(d, s.closeExpired)
		s.timers.closeBy = time.Now().Add(d)
	}
	if s.life().output() == outputEnded {
		s.linger()
	}
	s.mu.Unlock()
	after()
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
	if s.over() && s.Err() != nil {
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
	if l.closing() && !l.written() {
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
// CloseTimeout has passed without write progress.
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
	both := l.output() == outputEnded
	if !both {
		s.startHalfOpen()
	}
	s.mu.Unlock()
	if both {
		s.end(nil)
	}
}

// startHalfOpen bounds for how long the session stays writable without write
// progress, now that nothing is received any more. The caller holds mu.
func (s *Session) startHalfOpen() {
	if d := s.set.CloseTimeout; d > 0 && !s.life().closing() && s.timers.halfOpen == nil {
		s.timers.halfOpen = time.AfterFunc(d, s.halfOpenExpired)
		s.timers.halfOpenOn.Store(true)
	}
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
	if !both && (l.closing() || l.input() == inputHalted) { // what arrives is thrown away
		s.linger()
	}
	s.mu.Unlock()
	switch {
	case both, err != nil && l.closing(): // all was written: there is nothing to lose
		s.end(nil)
	case err != nil:
		s.end(s.errorAt("close write", err))
	}
}

// linger bounds the wait for the peer's end of stream. The caller holds mu.
func (s *Session) linger() {
	if s.over() {
		return
	}
	d := lingerTimeout
	if s.timers.close != nil {
		s.timers.close.Stop()
		d = min(d, time.Until(s.timers.closeBy))
	}
	s.timers.close = time.AfterFunc(d, s.closeExpired)
}

// closeExpired ends a Close whose time ran out: with an error if data is unsent.
func (s *Session) closeExpired() {
	if s.life().written() {
		s.end(nil)
		return
	}
	s.abort(s.errorAt("close", &timeoutError{"CloseTimeout", s.set.CloseTimeout}))
}

// halfOpenExpired ends a session that wrote nothing for CloseTimeout after its
// peer's end of stream: with an error if the peer did not take something, else
// in order, for a handler that forgot to.
func (s *Session) halfOpenExpired() {
	if s.stats.bytesPending.Load() > 0 {
		s.closeExpired()
		return
	}
	s.beginClose()
}

// extendHalfOpen notes write progress.
func (s *Session) extendHalfOpen() {
	if !s.timers.halfOpenOn.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over() && !s.life().closing() && s.timers.halfOpen.Stop() {
		s.timers.halfOpen.Reset(s.set.CloseTimeout)
	}
}

// startIdleTimer starts the watch over IdleTimeout, if there is one.
func (s *Session) startIdleTimer() {
	d := s.set.IdleTimeout
	if d <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over() {
		s.timers.idle = time.AfterFunc(d, s.idleExpired)
	}
}

// touch notes activity. It costs nothing without an IdleTimeout.
func (s *Session) touch() {
	if s.set.IdleTimeout > 0 {
		s.timers.active.Store(int64(time.Since(s.timers.began)))
	}
}

// idleExpired ends the session, or waits for what is left of IdleTimeout since
// the last activity: one timer operation a timeout, not one a message.
func (s *Session) idleExpired() {
	idle := time.Since(s.timers.began) - time.Duration(s.timers.active.Load())
	if left := s.set.IdleTimeout - idle; left > 0 {
		s.mu.Lock()
		if !s.over() {
			s.timers.idle.Reset(left)
		}
		s.mu.Unlock()
		return
	}
	s.end(s.errorAt("session", &timeoutError{"IdleTimeout", s.set.IdleTimeout}))
}

// writeExpired ends a session whose peer took nothing for WriteTimeout.
func (s *Session) writeExpired() {
	var err error = &timeoutError{"WriteTimeout", s.set.WriteTimeout}
	// In this order: whoever is gated no more may be dismissed.
	if s.holdsPublisher() || s.hubs.lagged.Load() {
		err = fmt.Errorf("%w: %w", ErrLagged, err)
	}
	s.abort(s.errorAt("write", err))
}

// A stall watches over a write that the peer does not take: it ends the session
// when WriteTimeout passes without progress. Only the writer uses it.
type stall struct {
	timer *time.Timer
	since atomic.Int64 // when the wait began, in nanoseconds since the session did, plus 1; 0 if there is none
}

// begin starts the watch anew, before a wait.
func (w *stall) begin(s *Session) {
	w.mark(s)
	d := s.set.WriteTimeout
	switch {
	case d <= 0:
	case w.timer == nil:
		w.timer = time.AfterFunc(d, s.writeExpired)
	default:
		w.timer.Reset(d)
	}
}

// mark notes that a wait may begin, which does not end the session.
func (w *stall) mark(s *Session) { w.since.Store(int64(time.Since(s.timers.began)) + 1) }

// end ends the watch.
func (w *stall) end() {
	if w.since.Load() == 0 {
		return
	}
	w.since.Store(0)
	if w.timer != nil {
		w.timer.Stop()
	}
}

// lasts returns for how long a write has waited without progress; anybody may
// ask.
func (w *stall) lasts(s *Session) time.Duration {
	since := w.since.Load()
	if since == 0 {
		return 0
	}
	return time.Since(s.timers.began) - time.Duration(since-1)
}
