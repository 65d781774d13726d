package ws

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"example.com/chanio"
)

// reader is the chanio.FrameReader of one WebSocket, and its state.
type reader struct {
	framing     framing
	request     *http.Request // of an accepted one
	subprotocol string

	// The message whose first frame has arrived and whose last has not; used by
	// the session's reader.
	op         ws.OpCode // 0: no message
	compressed bool
	parts      []byte
	valid      int // text: length of the prefix of parts known to be UTF-8

	pong []byte // the last reply

	peer atomic.Pointer[CloseError] // the peer's close
	own  atomic.Pointer[CloseError] // the close that CloseWith requested
}

var _ chanio.FrameReader = (*reader)(nil)

// readerOf returns the reader of a WebSocket session, otherwise nil.
func readerOf(s *chanio.Session) *reader {
	r, _ := s.FrameReader().(*reader)
	return r
}

// Next takes one frame.
func (r *reader) Next(buf []byte, limit int) (message []byte, n int, reply []byte, err error) {
	var h ws.Header
	size := parseHeader(&h, buf)
	switch {
	case size == 0:
		return nil, 0, nil, nil
	case size == badLength:
		return nil, 0, nil, lengthError(buf)
	}
	compressed := r.unmark(&h)
	if err := ws.CheckHeader(h, r.state()); err != nil {
		return nil, 0, nil, violation(err.Error())
	}
	if h.OpCode == ws.OpText || h.OpCode == ws.OpBinary {
		r.compressed = compressed
	}
	if !h.OpCode.IsControl() && h.Length > r.room(limit) {
		return nil, 0, nil, tooBig(limit)
	}
	n = size + int(h.Length) // at most limit plus overhead
	if len(buf) < n {
		return nil, 0, nil, nil
	}
	payload := buf[size:n:n]
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	switch {
	case h.OpCode.IsControl():
		reply, err = r.control(h.OpCode, payload)
	case h.Fin && h.OpCode != ws.OpContinuation:
		message, err = r.whole(h.OpCode, payload, limit)
	default:
		message, err = r.fragment(&h, payload, limit)
	}
	return message, n, reply, err
}

// unmark removes the mark of a compressed message, where that was negotiated,
// and reports whether h had it.
func (r *reader) unmark(h *ws.Header) bool {
	const rsv1 = 4
	if !r.framing.deflate || h.OpCode != ws.OpText && h.OpCode != ws.OpBinary || h.Rsv&rsv1 == 0 {
		return false
	}
	h.Rsv &^= rsv1
	return true
}

// state returns what ws.CheckHeader needs to know.
func (r *reader) state() ws.State {
	state := ws.StateServerSide
	if r.framing.client {
		state = ws.StateClientSide
	}
	if r.op != 0 {
		state |= ws.StateFragmented
	}
	return state
}

// room returns how much the current message may still grow.
func (r *reader) room(limit int) int64 {
	room := int64(limit)
	if r.compressed {
		room += int64(deflateOverhead(limit))
	}
	return room - int64(len(r.parts))
}

// control takes a control frame and returns the reply.
func (r *reader) control(op ws.OpCode, payload []byte) (reply []byte, err error) {
	switch op {
	case ws.OpPing:
		r.pong = r.framing.append(r.pong[:0], ws.OpPong, false, payload)
		return r.pong, nil
	case ws.OpClose:
		e, err := parseClose(payload)
		if err != nil {
			return nil, err
		}
		r.peer.Store(e)
		if e.normal() {
			return nil, io.EOF
		}
		return nil, e
	}
	return nil, nil // a pong says only that something arrived
}

// fragment takes a frame that is not a whole message, and returns the message if
// the frame is its last.
func (r *reader) fragment(h *ws.Header, payload []byte, limit int) ([]byte, error) {
	if h.OpCode != ws.OpContinuation {
		r.op, r.valid = h.OpCode, 0
	}
	r.parts = append(r.parts, payload...)
	if !h.Fin {
		if r.op == ws.OpText && !r.compressed && !r.validSoFar() {
			return nil, invalidText()
		}
		return nil, nil
	}
	op, parts := r.op, r.parts
	r.op, r.parts, r.valid = 0, nil, 0
	return r.whole(op, parts, limit)
}

// whole makes a message of its payload.
func (r *reader) whole(op ws.OpCode, p []byte, limit int) (message []byte, err error) {
	if r.compressed {
		if p, err = r.inflate(p, limit); err != nil {
			return nil, err
		}
	}
	if op == ws.OpText && !utf8.Valid(p) {
		return nil, invalidText()
	}
	if p == nil {
		p = []byte{} // nil would mean no message
	}
	return p, nil
}

// inflate is the function inflate with the error that ends the session.
func (r *reader) inflate(p []byte, limit int) ([]byte, error) {
	p, err := inflate(p, limit)
	switch {
	case errors.Is(err, chanio.ErrMessageTooLarge):
		return nil, tooBig(limit)
	case err != nil:
		return nil, &CloseError{Code: StatusInvalidPayload, Reason: fmt.Sprintf("a message that does not inflate: %v", err), Sent: true}
	}
	return p, nil
}

func invalidText() error {
	return &CloseError{Code: StatusInvalidPayload, Reason: "text that is not UTF-8", Sent: true}
}

// validSoFar reports whether parts is the start of valid UTF-8: it may end in
// the middle of a character.
func (r *reader) validSoFar() bool {
	p := r.parts[r.valid:]
	for len(p) > 0 {
		if !utf8.FullRune(p) {
			break // it may be the start of a character
		}
		c, size := utf8.DecodeRune(p)
		if c == utf8.RuneError && size == 1 {
			return false
		}
		p = p[size:]
	}
	r.valid = len(r.parts) - len(p)
	return true
}

// Partial reports whether a message has begun.
func (r *reader) Partial() bool { return r.op != 0 }

// Ping returns a ping without a payload.
func (r *reader) Ping() []byte { return r.framing.append(nil, ws.OpPing, false, nil) }

// Final is called for an end of stream without a close frame: the reader ends
// the session on any close that it sees.
func (r *reader) Final([]byte) error { return abnormal() }

// End returns the close frame.
func (r *reader) End(cause error) []byte {
	e := r.lastWord(cause)
	if e == nil {
		return nil
	}
	if e.Code == StatusNoCode {
		return r.framing.append(nil, ws.OpClose, false, nil)
	}
	reason := e.Reason
	if len(reason) > maxControl-2 {
		reason = reason[:maxControl-2] // our own text, which is ASCII
	}
	return r.framing.append(nil, ws.OpClose, false, ws.NewCloseFrameBody(e.Code, reason))
}

// lastWord returns the close to send, or nil for none.
func (r *reader) lastWord(cause error) *CloseError {
	if peer := r.peer.Load(); peer != nil && cause != nil {
		return &CloseError{Code: peer.Code} // the reply has the same code
	}
	var e *CloseError
	switch {
	case errors.As(cause, &e):
		if e.Code == StatusAbnormal {
			return nil // the connection is gone
		}
		return e
	case errors.Is(cause, chanio.ErrMessageTooLarge):
		return &CloseError{Code: StatusTooBig}
	}
	if own := r.own.Load(); own != nil {
		return own
	}
	if errors.Is(cause, chanio.ErrShutdown) {
		return &CloseError{Code: StatusGoingAway}
	}
	return &CloseError{Code: StatusNormal}
}

// closeWith sets the close to send if nothing else ends the session; the first
// one counts.
func (r *reader) closeWith(e *CloseError) { r.own.CompareAndSwap(nil, e) }
