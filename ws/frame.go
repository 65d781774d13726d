package ws

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gobwas/ws"
)

// maxHeader is the longest frame header: 2 bytes, 8 of length, 4 of mask.
const maxHeader = 14

// maxControl is the longest payload of a control frame (RFC 6455, section 5.5).
const maxControl = ws.MaxControlFramePayloadSize

// parseHeader reads the frame header at the start of buf into h and returns its
// size; 0 means that more bytes are needed. Unlike gobwas/ws's ReadHeader, it
// does not allocate, and it rejects a length that is not in its shortest form:
// with badLength instead of a size.
//
// A session's reader is some 1,100 bytes deep in its stack here. That leaves
// room for one more small frame before the stack grows permanently, from 2 KiB to 4.
// So errors are made elsewhere.
func parseHeader(h *ws.Header, buf []byte) (size int) {
	if len(buf) < 2 {
		return 0
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
			return 0
		}
		size, length = 4, uint64(binary.BigEndian.Uint16(buf[2:]))
		if length < 126 {
			return badLength
		}
	case 127:
		if len(buf) < 10 {
			return 0
		}
		size, length = 10, binary.BigEndian.Uint64(buf[2:])
		if length <= math.MaxUint16 || length > math.MaxInt64 {
			return badLength
		}
	}
	h.Length = int64(length)
	if !h.Masked {
		return size
	}
	if len(buf) < size+4 {
		return 0
	}
	copy(h.Mask[:], buf[size:])
	return size + 4
}

// badLength is the size of a header whose length lengthError describes.
const badLength = -1

// lengthError says what is wrong with the length in the header at the start of
// buf.
func lengthError(buf []byte) error {
	if buf[1]&0x7f == 126 {
		return violation(fmt.Sprintf("length %d takes 2 bytes more than it needs", binary.BigEndian.Uint16(buf[2:])))
	}
	length := binary.BigEndian.Uint64(buf[2:])
	if length > math.MaxInt64 {
		return violation("length has its most significant bit set")
	}
	return violation(fmt.Sprintf("length %d takes 8 bytes, more than it needs", length))
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
