package ws

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"example.com/chanio"
)

// framing is the chanio.SessionFraming of WebSocket: what all sessions of one
// side with the same negotiated settings share. It is comparable, so a hub
// frames and deflates a message once for all of them.
type framing struct {
	client    bool // the client's side, which masks
	text      bool // messages are sent as text
	deflate   bool // permessage-deflate was negotiated
	threshold int  // with deflate: messages of at least this size are compressed
}

var _ chanio.SessionFraming = framing{}

var errNotUTF8 = errors.New("chanio: websocket: a text message that is not UTF-8")

// errOwnReader is returned where only a session's own reader may read.
var errOwnReader = errors.New("chanio: websocket: frames are read by a session's reader")

// Accepts returns the error that AppendFrame would return.
func (f framing) Accepts(message []byte) error {
	if f.text && !utf8.Valid(message) {
		return errNotUTF8
	}
	return nil
}

// AppendFrame appends message as one frame.
func (f framing) AppendFrame(dst, message []byte) ([]byte, error) {
	if err := f.Accepts(message); err != nil {
		return dst, err
	}
	op := ws.OpBinary
	if f.text {
		op = ws.OpText
	}
	if f.deflate && len(message) >= f.threshold {
		d := deflate(message)
		defer d.free()
		if len(d.out) < len(message) {
			return f.append(dst, op, true, d.out), nil
		}
	}
	return f.append(dst, op, false, message), nil
}

func (framing) Next([]byte, int) ([]byte, int, error) { return nil, 0, errOwnReader }

// NewReader is not called: every session is handed over with its reader.
func (f framing) NewReader() chanio.FrameReader { return &reader{framing: f} }

// append appends a frame with payload, which it does not modify.
func (f framing) append(dst []byte, op ws.OpCode, compressed bool, payload []byte) []byte {
	dst = slices.Grow(dst, maxHeader+len(payload))
	dst = appendHeader(dst, op, compressed, f.client, len(payload))
	start := len(dst)
	dst = append(dst, payload...)
	if f.client {
		var mask [4]byte
		binary.NativeEndian.PutUint32(mask[:], rand.Uint32()) // ChaCha8: unpredictable (RFC 6455, section 10.3)
		copy(dst[start-4:], mask[:])
		ws.Cipher(dst[start:], mask, 0)
	}
	return dst
}
