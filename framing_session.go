package chanio

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// A SessionFraming is a [Framing] whose reading has state: a protocol such as
// WebSocket, with fragmented messages, replies to what arrives, and its own
// closing handshake. Sessions under it never call the Framing's Next: each
// reads through its own [FrameReader].
//
// AppendFrame is stateless and the same for all sessions, so that a hub frames
// a message once for all its members. If two sessions negotiated different wire
// formats, for example compressed and plain, their Framing values must differ.
type SessionFraming interface {
	Framing
	// NewReader returns the reader of one session.
	NewReader() FrameReader
	// Accepts returns the error that AppendFrame would return for message. Put
	// calls it before it takes the message.
	Accepts(message []byte) error
}

// A FrameReader is the state of one session under a [SessionFraming]. The
// session's reader calls Next, Partial and Final, one at a time. Its writer
// calls Ping and End, possibly at the same time as those. None of them may wait
// for the session, as Close and Flush do; [Session.Abort] does not wait.
type FrameReader interface {
	// Next is [Framing].Next with state. It takes n bytes from the start of
	// buf, and may modify only those; n == 0 means that more are needed. A nil
	// message with n > 0 means that the bytes completed no message: they were a
	// fragment, or a frame that is not for the user. The message may also be in
	// the FrameReader's own memory; the session copies it before it calls Next
	// again.
	//
	// reply is what must be sent to the peer in response. It is sent ahead of
	// what waits in Send, whole and between two messages, even if there is an
	// error. The session copies it. If the peer does not take its replies, the
	// session stops reading.
	//
	// An error ends the reading, and io.EOF is the peer's orderly end of the
	// conversation. Recv is closed after what came before, later input is
	// discarded, and the session stays writable as after the peer's end of
	// stream. Err is the error, or nil for io.EOF.
	Next(buf []byte, max int) (message []byte, n int, reply []byte, err error)
	// Partial reports whether part of a message has been taken and the rest is
	// still to come. MessageTimeout runs until the message is whole.
	Partial() bool
	// Ping returns what to send when nothing was received for
	// Options.PingInterval; nil sends nothing. The session's writer calls it.
	Ping() []byte
	// Final is called at the peer's end of stream with the bytes, possibly
	// none, that Next did not take. It returns nil if the stream may end here.
	// Any other error ends the session as an error of Next does.
	Final(rest []byte) error
	// End returns what to send between the last message and the end of stream.
	// It is called once, unless the session ends at once (Abort, a failed
	// write, the end of the context). cause is nil after CloseWrite and Close,
	// [ErrShutdown] while the listener or client shuts down, and the error, or
	// io.EOF, after one of Next or Final.
	End(cause error) []byte
}

// maxReplies is how many bytes of replies may wait for the writer before the
// reader waits for it. The replies to one read come on top of that.
const maxReplies = 4 << 10

// framedState is what a session under a SessionFraming has in addition. It is
// the codec of the session's reader.
type framedState struct {
	codec  // the SessionFraming's, used by the writer
	reader FrameReader
	s      *Session

	owes  atomic.Bool   // replies are waiting
	taken chan struct{} // one slot: the writer has taken the replies

	mu      sync.Mutex
	replies []byte
	closed  bool  // no more replies can be sent
	cause   error // why reading ended; passed to End

	ended bool // End was called; used by the writer only
}

// newFramedState returns the state of s with reader r, or a new reader if r is
// nil. It returns nil unless the framing of s has state.
func newFramedState(s *Session, r FrameReader) *framedState {
	if s.set.codec == nil {
		return nil
	}
	f, ok := s.set.codec.(sessionCodec)
	if !ok {
		return nil
	}
	if r == nil {
		r = f.NewReader()
	}
	return &framedState{codec: f, reader: r, s: s, taken: make(chan struct{}, 1)}
}

// FrameReader returns the session's reader under a [SessionFraming], otherwise
// nil. Code that knows its type finds the state of its protocol there.
func (s *Session) FrameReader() FrameReader {
	if s.framed == nil {
		return nil
	}
	return s.framed.reader
}

// reading returns the codec that cuts the input of s into messages, or nil for
// a raw stream.
func (s *Session) reading() codec {
	if s.framed != nil {
		return s.framed
	}
	return s.set.codec
}

// sessionCodec is the codec for writing under a SessionFraming. framedState is
// the one for reading.
type sessionCodec struct{ SessionFraming }

func (c sessionCodec) accepts(message []byte) error { return c.Accepts(message) }

func (c sessionCodec) scan(buf []byte, seen, limit int) ([]byte, int, int, error) {
	return userFraming{c.SessionFraming}.scan(buf, seen, limit)
}

func (c sessionCodec) final([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }

// A framedEnd says why reading under a SessionFraming ended.
type framedEnd struct{ cause error }

func (e *framedEnd) Error() string { return e.cause.Error() }
func (e *framedEnd) Unwrap() error { return e.cause }

// scan cuts messages for the reader. The results of the FrameReader are not
// trusted.
func (f *framedState) scan(buf []byte, _, limit int) (message []byte, n, need int, err error) {
	message, n, reply, err := f.reader.Next(buf, limit)
	if len(reply) > 0 {
		f.reply(reply)
	}
	switch {
	case err != nil:
	case n < 0 || n > len(buf):
		err = f.tookWrong(n, len(buf))
	case n > 0 && len(message) > limit:
		err = tooLarge(uint64(len(message)), limit)
	case n == 0 && len(buf)-maxOverhead >= limit:
		err = tooLarge(uint64(len(buf)), limit)
	case n == 0:
		return nil, 0, len(buf) + 1, nil
	case message == nil:
		if !f.reader.Partial() {
			f.s.messageWhole()
		}
		return nil, n, n, nil
	default:
		return message, n, n, nil
	}
	return nil, 0, 0, &framedEnd{err}
}

// tookWrong is the error of a FrameReader that took n of size bytes. Like all that
// is rare, it keeps its stack out of scan's.
func (f *framedState) tookWrong(n, size int) error {
	return fmt.Errorf("chanio: framing %T: Next took %d of %d bytes", f.reader, n, size)
}

// exact is not known: what a message was made of may be gone.
func (c sessionCodec) exact([]byte, int) bool { return false }

func (f *framedState) final(rest []byte) ([]byte, error) {
	if err := f.reader.Final(rest); err != nil {
		return nil, &framedEnd{err}
	}
	return nil, nil
}

// partial reports whether the reader holds part of a message; f may be nil.
func (f *framedState) partial() bool { return f != nil && f.reader.Partial() }

// reply queues p for the writer to send ahead of all else.
func (f *framedState) reply(p []byte) {
	f.mu.Lock()
	closed := f.closed
	if !closed {
		f.replies = append(f.replies, p...)
		f.owes.Store(true)
	}
	f.mu.Unlock()
	if !closed {
		f.s.needWriter()
		f.s.wakeWriter()
	}
}

// outputEnded drops the replies: the writer has ended, and the reader, which goes
// on, must not wait for it. f may be nil.
func (f *framedState) outputEnded() {
	if f == nil {
		return
	}
	f.mu.Lock()
	f.closed, f.replies = true, nil
	f.owes.Store(false)
	f.mu.Unlock()
	f.tookReplies()
}

// tookReplies wakes settle.
func (f *framedState) tookReplies() {
	select {
	case f.taken <- struct{}{}:
	default:
	}
}

// settle blocks while too many replies are queued for a peer that isn't
// reading. f may be nil.
func (f *framedState) settle() {
	for f.owesMuch() {
		select {
		case <-f.taken:
		case <-f.s.halted.wait():
			return
		}
	}
}

// owesMuch reports whether settle would block; f may be nil.
func (f *framedState) owesMuch() bool {
	if f == nil || !f.owes.Load() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.replies) > maxReplies
}

// gather takes the replies into b. Nothing may follow End.
func (f *framedState) gather(b *outBatch) {
	if f == nil || !f.owes.Load() || f.ended {
		return
	}
	f.mu.Lock()
	p := f.replies
	f.replies = nil // they belong to the batch now
	f.owes.Store(false)
	f.mu.Unlock()
	f.tookReplies()
	b.addChunk(p, 0)
}

// end takes what precedes the end of stream into b, and reports whether there
// is anything.
func (f *framedState) end(b *outBatch) bool {
	if f == nil || f.ended {
		return false
	}
	f.ended = true
	f.mu.Lock()
	cause := f.cause
	f.mu.Unlock()
	if cause == nil && f.s.reg.isClosed() {
		cause = ErrShutdown
	}
	b.addChunk(f.reader.End(cause), 0)
	return !b.empty()
}

// endFramed ends the reading under a SessionFraming for the reason that end
// gives. The session stays writable, as after the peer's end of stream.
func (s *Session) endFramed(t input, end *framedEnd) {
	s.framed.mu.Lock()
	s.framed.cause = end.cause
	s.framed.mu.Unlock()
	var err error
	if end.cause != io.EOF {
		err = s.errorAt("read", end.cause)
	}
	if s.breakInput(err) {
		t.resume()
	}
	s.closeRecv()
	s.discard(t)
}
