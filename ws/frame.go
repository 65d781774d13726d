package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gobwas/ws"
)

// maxHeader is the longest frame header: 2 bytes, 8 of length, 4 of mask.
const maxHeader = 14

// maxControl is the longest payload of a control frame (RFC 6455, section 5.5).
const maxControl = ws.MaxControlFramePayloadSize

// parseHeader reads the frame header at the start of buf and returns its size;
// 0 means that more bytes are needed. Unlike gobwas/ws's ReadHeader, it does
// not allocate, and it rejects a length that is not in its shortest form.
func parseHeader(buf []byte) (h ws.Header, size int, err error) {
	if len(buf) < 2 {
		return h, 0, nil
	}
	h.Fin = buf[0]&0x80 != 0
	h.Rsv = buf[0] & 0x70 >> 4
	h.OpCode = ws.OpCode(buf[0] & 0x0f)
	h.Masked = buf[1]&0x80 != 0
	length := uint64(buf[1] & 0x7f)
	size = 2
	switch length {
	case 126:
		if len(buf) < 4 {
			return h, 0, nil
		}
		size, length = 4, uint64(binary.BigEndian.Uint16(buf[2:]))
		if length < 126 {
			err = fmt.Errorf("length %d takes 2 bytes more than it needs", length)
		}
	case 127:
		if len(buf) < 10 {
			return h, 0, nil
		}
		size, length = 10, binary.BigEndian.Uint64(buf[2:])
		switch {
		case length <= math.MaxUint16:
			err = fmt.Errorf("length %d takes 8 bytes, more than it needs", length)
		case length > math.MaxInt64:
			err = errors.New("length has its most significant bit set")
		}
	}
	if err != nil {
		return h, 0, &CloseError{Code: ws.StatusProtocolError, Reason: err.Error(), Sent: true}
	}
	h.Length = int64(length)
	if !h.Masked {
		return h, size, nil
	}
	if len(buf) < size+4 {
		return h, 0, nil
	}
	copy(h.Mask[:], buf[size:])
	return h, size + 4, nil
}

// appendHeader appends the header of a whole message or a control frame of n
// bytes. If masked, it is followed by room for the mask, which is zero.
func appendHeader(dst []byte, op ws.OpCode, compressed, masked bool, n int) []byte {
	first, second := 0x80|byte(op), byte(0)
	if compressed {
		first |= 0x40
	}
	if masked {
		second = 0x80
	}
	switch {
	case n < 126:
		dst = append(dst, first, second|byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, first, second|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, second|127), uint64(n))
	}
	if masked {
		dst = append(dst, 0, 0, 0, 0)
	}
	return dst
}
