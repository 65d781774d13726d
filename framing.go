package chanio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"reflect"
	"slices"
	"unsafe"
)

// Framing cuts a stream into messages and back. It has no state: one value
// serves all sessions, from many goroutines at once.
//
// [Lines], [Delimiter] and [LengthPrefix] are the library's own; a program's
// own may embed one of them and build on its two methods.
type Framing interface {
	// AppendFrame appends message to dst as it goes over the wire and returns
	// the extended slice, or dst as it was and an error if the message cannot
	// be framed. It keeps neither slice and does not modify message.
	AppendFrame(dst, message []byte) ([]byte, error)
	// Next looks for the first whole message in buf. It returns the message, a
	// part of buf, and how many bytes of buf it and its framing took; n == 0
	// means that more bytes are needed, and n > 0 is a message, be it empty. A
	// message longer than max, or any other error, ends the session. Next
	// neither keeps buf nor modifies it.
	//
	// Next is called again with the same bytes and some more until there is a
	// message, so it should be quick to see that there is none yet. It should
	// report [ErrMessageTooLarge] as soon as it can tell; a session ends with
	// it in any case once max and 64 KiB more are not a message yet.
	Next(buf []byte, max int) (message []byte, n int, err error)
}

// Lines frames a message as a line of text. It takes lines that end in LF or
// CRLF and sends LF. A message with a newline in it is refused. One that ends
// in a carriage return, which the other side would take for a part of the line
// end, is sent with CRLF: so what was sent is what is received, and whatever
// is received can be sent on.
//
// At the end of the stream a line without its end is not delivered, and the
// session's Err is io.ErrUnexpectedEOF: what was cut off in its middle must not
// be taken for what the peer meant.
type Lines struct {
	// CRLF sends each line with CRLF.
	CRLF bool
	// Unterminated makes what is left at the end of the stream, if it is not
	// empty, a line like any other.
	Unterminated bool
}

// AppendFrame appends message and its line end to dst. It is an error if
// message contains a newline.
func (f Lines) AppendFrame(dst, message []byte) ([]byte, error) {
	if err := f.accepts(message); err != nil {
		return dst, err
	}
	dst = append(slices.Grow(dst, len(message)+2), message...)
	if f.end(message) == 2 {
		dst = append(dst, '\r')
	}
	return append(dst, '\n'), nil
}

// end is how many bytes the end of the line message takes.
func (f Lines) end(message []byte) int {
	if n := len(message); f.CRLF || n > 0 && message[n-1] == '\r' {
		return 2
	}
	return 1
}

func (f Lines) exact(message []byte, n int) bool { return n == len(message)+f.end(message) }

// Next returns the first line of buf without its line end. It is
// [ErrMessageTooLarge] if that is, or is going to be, longer than limit.
func (f Lines) Next(buf []byte, limit int) (message []byte, n int, err error) {
	message, n, _, err = f.scan(buf, 0, limit)
	return message, n, err
}

func (Lines) accepts(message []byte) error {
	if i := bytes.IndexByte(message, '\n'); i >= 0 {
		return fmt.Errorf("chanio: lines: message has a newline at byte %d", i)
	}
	return nil
}

func (Lines) scan(buf []byte, seen, limit int) (message []byte, n, need int, err error) {
	line, n := cut(buf, seen, '\n')
	return delimited(dropCR(line), n, len(buf), limit)
}

func (f Lines) final(rest []byte) ([]byte, error) {
	if !f.Unterminated {
		return nil, io.ErrUnexpectedEOF
	}
	return dropCR(rest), nil
}

// dropCR removes one carriage return from line's end, where it is a part of
// the line end, or may become one with the next byte.
func dropCR(line []byte) []byte {
	n := len(line)
	if n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n:n]
}

// Delimiter frames a message with Byte after it; the zero value's is NUL. A
// message that contains Byte is refused. At the end of the stream a message
// without its delimiter is not delivered, and the session's Err is
// io.ErrUnexpectedEOF.
type Delimiter struct {
	Byte byte
	// Unterminated makes what is left at the end of the stream, if it is not
	// empty, a message like any other.
	Unterminated bool
}

// AppendFrame appends message and the delimiter to dst. It is an error if
// message contains the delimiter.
func (f Delimiter) AppendFrame(dst, message []byte) ([]byte, error) {
	if err := f.accepts(message); err != nil {
		return dst, err
	}
	dst = append(slices.Grow(dst, len(message)+1), message...)
	return append(dst, f.Byte), nil
}

// Next returns what is before the first delimiter in buf. It is
// [ErrMessageTooLarge] if that is longer than limit.
func (f Delimiter) Next(buf []byte, limit int) (message []byte, n int, err error) {
	message, n, _, err = f.scan(buf, 0, limit)
	return message, n, err
}

func (f Delimiter) accepts(message []byte) error {
	if i := bytes.IndexByte(message, f.Byte); i >= 0 {
		return fmt.Errorf("chanio: delimiter: message has the delimiter %#02x at byte %d", f.Byte, i)
	}
	return nil
}

func (f Delimiter) scan(buf []byte, seen, limit int) (message []byte, n, need int, err error) {
	message, n = cut(buf, seen, f.Byte)
	return delimited(message, n, len(buf), limit)
}

func (Delimiter) exact([]byte, int) bool { return true }

func (f Delimiter) final(rest []byte) ([]byte, error) {
	if !f.Unterminated {
		return nil, io.ErrUnexpectedEOF
	}
	return rest[:len(rest):len(rest)], nil
}

// cut returns what is before the first delim in buf, and the length of both.
// Without a delimiter it returns the whole of buf, and 0. The first seen bytes
// are known to have none.
func cut(buf []byte, seen int, delim byte) (message []byte, n int) {
	i := bytes.IndexByte(buf[seen:], delim)
	if i < 0 {
		return buf, 0
	}
	i += seen
	return buf[:i:i], i + 1
}

// delimited turns what cut found in a buffer of size bytes into the results of
// a scan: what there is of the message counts against limit, whole or not.
func delimited(message []byte, n, size, limit int) ([]byte, int, int, error) {
	switch {
	case len(message) > limit:
		return nil, 0, 0, tooLarge(uint64(len(message)), limit)
	case n == 0:
		return nil, 0, size + 1, nil
	}
	return message, n, n, nil
}

// LengthPrefix frames a message with a header that says its length. The zero
// value's header is four bytes, the most significant first, and counts the
// message alone.
//
// Not every length is possible: a message that is too long for the header to
// say so is refused with [ErrMessageTooLarge]. A message that is incomplete at
// the end of the stream is io.ErrUnexpectedEOF.
type LengthPrefix struct {
	// Size is how many bytes the header takes: 1, 2, 4 or 8. If zero, 4.
	Size int
	// LittleEndian puts the least significant byte of the header first.
	LittleEndian bool
	// Varint makes the header an unsigned varint as encoding/binary and
	// Protocol Buffers have it, in place of one with Size and LittleEndian. A
	// peer's varint must be as short as its value allows.
	Varint bool
	// IncludesHeader says that the length counts the header's own bytes too.
	// With Varint, which takes the more bytes the more it counts, it is the
	// shortest that comes out right: 126 bytes follow the header 127, and 127
	// bytes the two-byte header 129.
	IncludesHeader bool
}

// maxHeader bounds the bytes of any header.
const maxHeader = binary.MaxVarintLen64

// AppendFrame appends the header and message to dst. It is
// [ErrMessageTooLarge] if the header cannot hold the length.
func (f LengthPrefix) AppendFrame(dst, message []byte) ([]byte, error) {
	length, err := f.length(len(message))
	if err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, maxHeader+len(message))
	return append(f.appendHeader(dst, length), message...), nil
}

// Next returns what follows the header at the start of buf. It is
// [ErrMessageTooLarge] as soon as the header says more than limit.
func (f LengthPrefix) Next(buf []byte, limit int) (message []byte, n int, err error) {
	message, n, _, err = f.scan(buf, 0, limit)
	return message, n, err
}

// check reports values that cannot be right. [Options] asks before there is a
// session, the methods for those who call them on their own.
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
	// The second comparison needs an int, and so does the sum with the header.
	if length > math.MaxInt-maxHeader || int(length) > limit {
		return nil, 0, 0, tooLarge(length, limit)
	}
	n = header + int(length)
	if n > len(buf) {
		return nil, 0, n, nil
	}
	return buf[header:n:n], n, n, nil
}

// exact has only to look at varints that count themselves: there are lengths with
// two headers.
func (f LengthPrefix) exact(message []byte, n int) bool {
	if !f.Varint || !f.IncludesHeader {
		return true
	}
	length, err := f.length(len(message))
	return err == nil && n == len(message)+uvarintSize(length)
}

func (LengthPrefix) final([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }

// size is how many bytes a header takes that is no varint.
func (f LengthPrefix) size() int {
	if f.Size == 0 {
		return 4
	}
	return f.Size
}

// length returns what the header of a message of n bytes says.
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
	// A shift by all 64 bits is zero.
	if length>>(8*f.size()) != 0 {
		return 0, fmt.Errorf("%w: %d bytes do not fit a length of %d bytes", ErrMessageTooLarge, n, f.size())
	}
	return length, nil
}

// uvarintSize is how many bytes v takes as a varint.
func uvarintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// appendHeader appends the header that says length, which fits.
func (f LengthPrefix) appendHeader(dst []byte, length uint64) []byte {
	if f.Varint {
		return binary.AppendUvarint(dst, length)
	}
	// All 8 bytes, the header's first, cost less than just as many as it has.
	size := f.size()
	end := len(dst) + size
	if f.LittleEndian {
		return binary.LittleEndian.AppendUint64(dst, length)[:end]
	}
	return binary.BigEndian.AppendUint64(dst, length<<(64-8*size))[:end]
}

// header reads the header at the start of buf: how many bytes it takes, and
// what it says. More bytes than buf has mean that as many are needed to tell.
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
		return 0, 0, fmt.Errorf("chanio: length prefix: varint %d takes %d bytes and not %d", length, size, uvarintSize(length))
	}
	return size, length, nil
}

// tooLarge is the error of a message of which n bytes came or were announced.
func tooLarge(n uint64, limit int) error {
	return fmt.Errorf("%w: %d bytes, the limit is %d", ErrMessageTooLarge, n, limit)
}

// codec is a Framing with what a session's reader and writer ask beyond it. All
// methods are pure, as a Framing's are; codecOf makes one.
type codec interface {
	Framing
	// accepts returns the error that AppendFrame would return.
	accepts(message []byte) error
	// scan is Next for a reader whose buffer grows. The first seen bytes of buf
	// were in an earlier scan that found no message. With n == 0, need is the
	// length of buf, more than it has, before which no scan will find one;
	// once a header is known, that is the whole frame.
	//
	// The message has no capacity beyond its length, so that it can be handed
	// out with the buffer. It is nil if n bytes were taken that make none, which
	// only a SessionFraming does.
	scan(buf []byte, seen, limit int) (message []byte, n, need int, err error)
	// exact reports whether the n bytes from which scan made message are those
	// that AppendFrame would make of it.
	exact(message []byte, n int) bool
	// final says what rest, the bytes at the end of the stream in which scan
	// found no message, is: a last message, or an error. Only a SessionFraming
	// is asked about an empty rest, too, and makes no message of it.
	final(rest []byte) (message []byte, err error)
}

// codecOf returns f as a codec, or nil for nil, a raw stream.
//
// It goes by f's type and not by its methods: a user's type that embeds one of
// the library's framings has the methods of codec too, and they know nothing
// of the user's own AppendFrame and Next.
func codecOf(f Framing) codec {
	switch f.(type) {
	case nil:
		return nil
	case Lines, *Lines, Delimiter, *Delimiter, LengthPrefix, *LengthPrefix:
		return f.(codec)
	}
	if f, ok := f.(SessionFraming); ok {
		return sessionCodec{f}
	}
	return userFraming{f}
}

// sameFraming reports whether a and b frame alike, as far as can be told. A
// function is only comparable with nil, so a value that has one in it is only
// the same as a copy of the interface that it is in.
func sameFraming(a, b Framing) bool {
	type words = [2]unsafe.Pointer // an interface's: its type, and where the value is
	return *(*words)(unsafe.Pointer(&a)) == *(*words)(unsafe.Pointer(&b)) || reflect.DeepEqual(a, b)
}

// userFraming is the codec of a Framing that is not the library's. What its
// Next returns is not taken on trust.
type userFraming struct{ Framing }

// maxOverhead is how many bytes beyond the limit a user's Framing may ask for:
// headers and trailers, however long they are. It bounds what a session holds
// if Next never says that a message is too large.
const maxOverhead = 64 << 10

// accepts has to frame the message to know.
func (f userFraming) accepts(message []byte) error {
	_, err := f.AppendFrame(nil, message)
	return err
}

func (f userFraming) scan(buf []byte, _, limit int) (message []byte, n, need int, err error) {
	message, n, err = f.Next(buf, limit)
	switch {
	case err != nil:
		return nil, 0, 0, err
	case n < 0 || n > len(buf):
		return nil, 0, 0, fmt.Errorf("chanio: framing %T: Next took %d of %d bytes", f.Framing, n, len(buf))
	case n > 0 && len(message) > limit:
		return nil, 0, 0, tooLarge(uint64(len(message)), limit)
	case n == 0 && len(buf)-maxOverhead >= limit:
		return nil, 0, 0, tooLarge(uint64(len(buf)), limit)
	case n == 0:
		return nil, 0, len(buf) + 1, nil
	}
	if message == nil {
		message = []byte{} // nil would be none
	}
	return message[:len(message):len(message)], n, n, nil
}

func (userFraming) exact([]byte, int) bool { return false }

func (userFraming) final([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
