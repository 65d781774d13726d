package chanio

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"unsafe"

	"example.com/chanio/internal/buffer"
)

// A Framing cuts a stream into messages and joins messages into a stream. It
// has no state: one value serves all sessions, from many goroutines at once.
//
// [Lines], [Delimiter] and [LengthPrefix] are the library's own. A program's
// own framing may embed one of them and build on its two methods.
type Framing interface {
	// AppendFrame appends message to dst in its wire form and returns the
	// extended slice. If the message cannot be framed, it returns dst unchanged
	// and an error. It keeps neither slice and does not modify message.
	AppendFrame(dst, message []byte) ([]byte, error)
	// Next looks for the first whole message in buf. It returns the message, a
	// part of buf, and how many bytes of buf the message and its framing took.
	// n == 0 means that more bytes are needed; n > 0 means that there is a
	// message, possibly empty. A message longer than max, or any other error,
	// ends the session. Next neither keeps nor modifies buf.
	//
	// Next is called again with the same bytes and more until there is a
	// message, so it should be quick to see that there is none yet. It should
	// report [ErrMessageTooLarge] as soon as it can tell. In any case a session
	// ends with that error once max plus 64 KiB bytes hold no message yet.
	Next(buf []byte, max int) (message []byte, n int, err error)
}

// Lines frames a message as a line of text. It accepts lines ending in LF or
// CRLF and sends LF. A message containing a newline is refused. A message
// ending in a carriage return, which the receiver would take for part of the
// line end, is sent with CRLF. What is received is thus what was sent, and
// anything received can be sent on.
//
// At the end of the stream an unterminated line is not delivered, and the
// session's Err is io.ErrUnexpectedEOF: a truncated line must not be mistaken
// for what the peer meant to send.
type Lines struct {
	// CRLF ends each line sent with CRLF.
	CRLF bool
	// Unterminated makes what is left at the end of the stream, if not empty, a
	// line like any other.
	Unterminated bool
}

// AppendFrame appends message and its line end to dst. It is an error if
// message contains a newline.
func (f Lines) AppendFrame(dst, message []byte) ([]byte, error) {
	if err := f.accepts(message); err != nil {
		return dst, err
	}
	dst = append(slices.Grow(dst, len(message)+2), message...)
	if f.overhead(message) == 2 {
		dst = append(dst, '\r')
	}
	return append(dst, '\n'), nil
}

// overhead returns the length of message's line end.
func (f Lines) overhead(message []byte) int {
	if n := len(message); f.CRLF || n > 0 && message[n-1] == '\r' {
		return 2
	}
	return 1
}

func (f Lines) exact(message []byte, n int) bool { return n == len(message)+f.overhead(message) }

// Next returns the first line of buf without its line end. The error is
// [ErrMessageTooLarge] if the line is, or will be, longer than limit.
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

func (f Lines) around(message []byte) (_, after []byte, err error) {
	if err := f.accepts(message); err != nil {
		return nil, nil, err
	}
	return nil, []byte("\r\n")[2-f.overhead(message):], nil
}

func (Lines) scan(buf []byte, seen, limit int) (message []byte, n, need int, err error) {
	line, n := cut(buf, seen, '\n')
	return delimited(dropCR(line), n, len(buf), limit)
}

func (f Lines) scanRun(buf []byte, spans []buffer.Span, most, seen, limit int) (_ []buffer.Span, n, size int, exact bool) {
	exact = true
	for range most {
		i := bytes.IndexByte(buf[n+seen:], '\n')
		if i < 0 {
			break
		}
		end := n + seen + i
		line := dropCR(buf[n:end])
		if len(line) > limit {
			break
		}
		spans = append(spans, buffer.Span{Start: uint32(n), End: uint32(n + len(line))})
		exact = exact && f.exact(line, end+1-n)
		size += len(line)
		n, seen = end+1, 0
	}
	return spans, n, size, exact
}

func (f Lines) final(rest []byte) ([]byte, error) {
	if !f.Unterminated {
		return nil, io.ErrUnexpectedEOF
	}
	return dropCR(rest), nil
}

// dropCR removes one carriage return from the end of line: it is part of the
// line end, or may become so with the next byte.
func dropCR(line []byte) []byte {
	n := len(line)
	if n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n:n]
}

// Delimiter frames a message by appending Byte; the zero value's is NUL. A
// message that contains Byte is refused. At the end of the stream an
// unterminated message is not delivered, and the session's Err is
// io.ErrUnexpectedEOF.
type Delimiter struct {
	Byte byte
	// Unterminated makes what is left at the end of the stream, if not empty, a
	// message like any other.
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

// Next returns what precedes the first delimiter in buf. The error is
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

func (f Delimiter) around(message []byte) (_, after []byte, err error) {
	if err := f.accepts(message); err != nil {
		return nil, nil, err
	}
	return nil, []byte{f.Byte}, nil
}

func (f Delimiter) scan(buf []byte, seen, limit int) (message []byte, n, need int, err error) {
	message, n = cut(buf, seen, f.Byte)
	return delimited(message, n, len(buf), limit)
}

func (Delimiter) exact([]byte, int) bool { return true }

func (Delimiter) overhead([]byte) int { return 1 }

func (f Delimiter) final(rest []byte) ([]byte, error) {
	if !f.Unterminated {
		return nil, io.ErrUnexpectedEOF
	}
	return rest[:len(rest):len(rest)], nil
}

// cut returns what precedes the first delim in buf, and the length of both.
// Without a delimiter it returns all of buf and 0. The first seen bytes are
// known to have none.
func cut(buf []byte, seen int, delim byte) (message []byte, n int) {
	i := bytes.IndexByte(buf[seen:], delim)
	if i < 0 {
		return buf, 0
	}
	i += seen
	return buf[:i:i], i + 1
}

// delimited turns what cut found in a buffer of size bytes into the results of
// a scan. The message counts against limit even if it is not whole yet.
func delimited(message []byte, n, size, limit int) ([]byte, int, int, error) {
	switch {
	case len(message) > limit:
		return nil, 0, 0, tooLarge(uint64(len(message)), limit)
	case n == 0:
		return nil, 0, size + 1, nil
	}
	return message, n, n, nil
}

// tooLarge returns the error for a message of which n bytes came or were
// announced.
func tooLarge(n uint64, limit int) error {
	return fmt.Errorf("%w: %d bytes, the limit is %d", ErrMessageTooLarge, n, limit)
}

// codec is a Framing with what a session's reader and writer need beyond it.
// All methods are pure, as a Framing's are; codecOf makes one.
type codec interface {
	Framing
	// accepts returns the error that AppendFrame would return.
	accepts(message []byte) error
	// scan is Next for a reader whose buffer grows. The first seen bytes of buf
	// were in an earlier scan that found no message. If n == 0, no scan will
	// find a message until buf has grown to need bytes, which is more than it
	// has now. Once a header is known, need is the length of the whole frame.
	//
	// The message has no spare capacity, so it can be handed out along with the
	// buffer. It is nil if n bytes were taken that make no message, which only
	// a SessionFraming does.
	scan(buf []byte, seen, limit int) (message []byte, n, need int, err error)
	// exact reports whether the n bytes from which scan made message are those
	// that AppendFrame would make of it.
	exact(message []byte, n int) bool
	// final says what rest, the bytes left at the end of the stream, is: a last
	// message, or an error. Only a SessionFraming is also asked about an empty
	// rest, and makes no message of it.
	final(rest []byte) (message []byte, err error)
}

// A runScanner is a codec that scans many small messages in less time than as
// many calls of scan take.
type runScanner interface {
	// scanRun finds whole messages at the start of buf, at most most, and appends
	// where they are to spans. It returns how many bytes they take with their
	// framing and without it, and whether all are exact. What is not whole, or is
	// an error, or is nothing for it, it leaves to scan. seen is as for scan.
	scanRun(buf []byte, spans []buffer.Span, most, seen, limit int) (_ []buffer.Span, n, size int, exact bool)
}

// A wrapping is a codec that leaves a message as it is and adds bytes around it.
type wrapping interface {
	// overhead returns how many bytes AppendFrame adds to a message that it accepts.
	overhead(message []byte) int
	// around returns the bytes before and after message in its wire form, and
	// the error that AppendFrame would return.
	around(message []byte) (before, after []byte, err error)
}

// codecOf returns f as a codec, or nil if f is nil, for a raw stream.
//
// It goes by f's type rather than its methods: a user's type that embeds one of
// the library's framings also has the methods of codec, but those know nothing
// of the user's AppendFrame and Next.
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
// function is comparable only with nil, so a value that contains one is the
// same only as a copy of the interface that holds it.
func sameFraming(a, b Framing) bool {
	type words = [2]unsafe.Pointer // an interface's: its type, and where the value is
	return *(*words)(unsafe.Pointer(&a)) == *(*words)(unsafe.Pointer(&b)) || reflect.DeepEqual(a, b)
}

// userFraming is the codec of a Framing that is not the library's. The results
// of its Next are not trusted.
type userFraming struct{ Framing }

// maxOverhead is how many bytes beyond the limit a user's Framing may ask for,
// for headers and trailers of any length. It bounds what a session holds if
// Next never says that a message is too large.
const maxOverhead = 64 << 10

// accepts must frame the message to find out.
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
		message = []byte{} // nil would mean no message
	}
	return message[:len(message):len(message)], n, n, nil
}

func (userFraming) exact([]byte, int) bool { return false }

func (userFraming) final([]byte) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
