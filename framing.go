package chanio

import (
	"bytes"
	"fmt"
	"io"
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
