package chanio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"

	"example.com/chanio/internal/buffer"
)

// LengthPrefix frames a message with a header that holds its length. The zero
// value's header is four bytes in big-endian order and counts only the message.
//
// A message whose length does not fit the header is refused with
// [ErrMessageTooLarge]. An incomplete message at the end of the stream is
// io.ErrUnexpectedEOF.
type LengthPrefix struct {
	// Size is the size of the header in bytes: 1, 2, 4 or 8. If zero, 4.
	Size int
	// LittleEndian puts the least significant byte of the header first.
	LittleEndian bool
	// Varint makes the header an unsigned varint, as in encoding/binary and
	// Protocol Buffers, instead of one with Size and LittleEndian. A peer's
	// varint must be as short as its value allows.
	Varint bool
	// IncludesHeader makes the length count the header's own bytes too. With
	// Varint, whose size depends on its value, the shortest consistent header
	// is used: 126 bytes follow the header 127, and 127 bytes the two-byte
	// header 129.
	IncludesHeader bool
}

// maxHeader bounds the size of any header.
const maxHeader = binary.MaxVarintLen64

// AppendFrame appends the header and message to dst. The error is
// [ErrMessageTooLarge] if the header cannot hold the length.
func (f LengthPrefix) AppendFrame(dst, message []byte) ([]byte, error) {
	length, err := f.length(len(message))
	if err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, maxHeader+len(message))
	return append(f.appendHeader(dst, length), message...), nil
}

// Next returns what follows the header at the start of buf. The error is
// [ErrMessageTooLarge] as soon as the header says more than limit.
func (f LengthPrefix) Next(buf []byte, limit int) (message []byte, n int, err error) {
	message, n, _, err = f.scan(buf, 0, limit)
	return message, n, err
}

// check reports invalid values. [Options] calls it before there is a session,
// and the methods call it for users who call them directly.
func (f LengthPrefix) check() error {
	switch {
	case f.Varint && f.Size != 0:
		return fmt.Errorf("LengthPrefix.Size = %d can't be set with Varint", f.Size)
	case f.Varint && f.LittleEndian:
		return errors.New("LengthPrefix.LittleEndian can't be set with Varint")
	}
	switch f.Size {
	case 0, 1, 2, 4, 8:
		return nil
	}
	return fmt.Errorf("LengthPrefix.Size = %d must be 1, 2, 4 or 8", f.Size)
}

func (f LengthPrefix) accepts(message []byte) error {
	_, err := f.length(len(message))
	return err
}

func (f LengthPrefix) around(message []byte) (before, _ []byte, err error) {
	length, err := f.length(len(message))
	if err != nil {
		return nil, nil, err
	}
	return f.appendHeader(make([]byte, 0, maxHeader), length), nil, nil
}

func (f LengthPrefix) overhead(message []byte) int {
	if !f.Varint {
		return f.size()
	}
	length, _ := f.length(len(message))
	return uvarintSize(length)
}

func (f LengthPrefix) scan(buf []byte, _, limit int) (message []byte, n, need int, err error) {
	header, length, err := f.header(buf)
	if err != nil {
		return nil, 0, 0, err
	}
	if header > len(buf) {
		return nil, 0, header, nil
	}
	if f.IncludesHeader {
		if length < uint64(header) {
			return nil, 0, 0, fmt.Errorf("chanio: length prefix: length %d is less than its header of %d bytes", length, header)
		}
		length -= uint64(header)
	}
	// The second comparison and the sum with the header need an int.
	if length > math.MaxInt-maxHeader || int(length) > limit {
		return nil, 0, 0, tooLarge(length, limit)
	}
	n = header + int(length)
	if n > len(buf) {
		return nil, 0, n, nil
	}
	return buf[header:n:n], n, n, nil
}

// scanRun leaves varints to scan, and the last message if it is tiny.
func (f LengthPrefix) scanRun(buf []byte, spans []buffer.Span, most, _, limit int) (_ []buffer.Span, n, size int, exact bool) {
	if f.Varint || f.check() != nil {
		return spans, 0, 0, true
	}
	header, counted := f.size(), 0 // bytes of the header, and how many of them the length counts
	if f.IncludesHeader {
		counted = header
	}
	for range most {
		p := buf[n:]
		if len(p) < 8 {
			break
		}
		length := binary.BigEndian.Uint64(p) >> (64 - 8*header)
		if f.LittleEndian {
			length = binary.LittleEndian.Uint64(p) << (64 - 8*header) >> (64 - 8*header)
		}
		length -= uint64(counted) // if it is less, that is far above any limit
		if length > uint64(limit) || length > uint64(len(p)-header) {
			break
		}
		start := n + header
		n = start + int(length)
		size += int(length)
		spans = append(spans, buffer.Span{Start: uint32(start), End: uint32(n)})
	}
	return spans, n, size, true
}

// exact needs to look only at varints that count themselves: some lengths have
// two possible headers.
func (f LengthPrefix) exact(message []byte, n int) bool {
	if !f.Varint || !f.IncludesHeader {
		return true
	}
	return n == len(message)+f.overhead(message)
}

func (LengthPrefix) final([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }

// size returns the size of a header that is not a varint.
func (f LengthPrefix) size() int {
	if f.Size == 0 {
		return 4
	}
	return f.Size
}

// length returns the value of the header for a message of n bytes.
func (f LengthPrefix) length(n int) (uint64, error) {
	if err := f.check(); err != nil {
		return 0, fmt.Errorf("chanio: framing: %w", err)
	}
	length := uint64(n)
	if f.Varint {
		if f.IncludesHeader {
			// The header's own size can make it one byte longer, never two.
			length += uint64(uvarintSize(length + uint64(uvarintSize(length))))
		}
		return length, nil
	}
	if f.IncludesHeader {
		length += uint64(f.size())
	}
	// A shift by all 64 bits yields zero.
	if length>>(8*f.size()) != 0 {
		return 0, fmt.Errorf("%w: %d bytes do not fit a length of %d bytes", ErrMessageTooLarge, n, f.size())
	}
	return length, nil
}

// uvarintSize returns the size of v as a varint.
func uvarintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// appendHeader appends the header for length, which fits.
func (f LengthPrefix) appendHeader(dst []byte, length uint64) []byte {
	if f.Varint {
		return binary.AppendUvarint(dst, length)
	}
	// Appending 8 bytes and cutting them is cheaper than appending just the
	// header's.
	size := f.size()
	end := len(dst) + size
	if f.LittleEndian {
		return binary.LittleEndian.AppendUint64(dst, length)[:end]
	}
	return binary.BigEndian.AppendUint64(dst, length<<(64-8*size))[:end]
}

// header reads the header at the start of buf and returns its size and value. A
// size larger than buf means that that many bytes are needed to tell.
func (f LengthPrefix) header(buf []byte) (size int, length uint64, err error) {
	if err := f.check(); err != nil {
		return 0, 0, fmt.Errorf("chanio: framing: %w", err)
	}
	if f.Varint {
		return uvarint(buf)
	}
	size = f.size()
	if size > len(buf) {
		return size, 0, nil
	}
	for i, b := range buf[:size] {
		if f.LittleEndian {
			length |= uint64(b) << (8 * i)
		} else {
			length = length<<8 | uint64(b)
		}
	}
	return size, length, nil
}

// uvarint is header for a varint.
func uvarint(buf []byte) (size int, length uint64, err error) {
	length, size = binary.Uvarint(buf)
	switch {
	case size == 0 && len(buf) < binary.MaxVarintLen64:
		return len(buf) + 1, 0, nil
	case size <= 0:
		return 0, 0, fmt.Errorf("%w: a varint length of more than 64 bits", ErrMessageTooLarge)
	case size != uvarintSize(length):
		return 0, 0, fmt.Errorf("chanio: length prefix: varint %d takes %d bytes, not %d", length, size, uvarintSize(length))
	}
	return size, length, nil
}
