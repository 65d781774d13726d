package chanio

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// netstring is a Framing as a user would write one: 5:hello,
type netstring struct{}

func (netstring) AppendFrame(dst, message []byte) ([]byte, error) {
	dst = strconv.AppendInt(dst, int64(len(message)), 10)
	dst = append(dst, ':')
	dst = append(dst, message...)
	return append(dst, ','), nil
}

func (netstring) Next(buf []byte, max int) ([]byte, int, error) {
	colon := bytes.IndexByte(buf[:min(len(buf), 20)], ':')
	digits := buf[:min(len(buf), 20)]
	if colon >= 0 {
		digits = buf[:colon]
	}
	length := 0
	for i, c := range digits {
		if c < '0' || c > '9' || i == 1 && digits[0] == '0' {
			return nil, 0, fmt.Errorf("netstring: bad length %q", digits)
		}
		if length = 10*length + int(c-'0'); length > max {
			return nil, 0, fmt.Errorf("netstring: %w", ErrMessageTooLarge)
		}
	}
	switch end := colon + 1 + length; {
	case colon == 0:
		return nil, 0, errors.New("netstring: no length")
	case colon < 0 || len(buf) <= end:
		return nil, 0, nil
	case buf[end] != ',':
		return nil, 0, fmt.Errorf("netstring: %q for a comma", buf[end])
	default:
		return buf[colon+1 : end], end + 1, nil
	}
}

type namedFraming struct {
	name    string
	framing Framing
}

// framings are all that a valid value can say, and a user's own.
func framings() []namedFraming {
	all := []namedFraming{
		{"lines", Lines{}},
		{"lines CRLF", Lines{CRLF: true}},
		{"lines unterminated", Lines{Unterminated: true}},
		{"delimiter unterminated", Delimiter{Byte: ';', Unterminated: true}},
		{"delimiter NUL", Delimiter{}},
		{"delimiter ;", Delimiter{Byte: ';'}},
		{"length varint", LengthPrefix{Varint: true}},
		{"length varint with header", LengthPrefix{Varint: true, IncludesHeader: true}},
		{"netstring", netstring{}},
	}
	for _, size := range []int{0, 1, 2, 4, 8} {
		for _, little := range []bool{false, true} {
			for _, header := range []bool{false, true} {
				f := LengthPrefix{Size: size, LittleEndian: little, IncludesHeader: header}
				all = append(all, namedFraming{fmt.Sprintf("length %d little=%v header=%v", size, little, header), f})
			}
		}
	}
	return all
}

// overhead is how many bytes beyond the limit c may ever wait for.
func overhead(c codec) int {
	if _, ok := c.(userFraming); ok {
		return maxOverhead
	}
	return maxHeader
}

// feeder decodes as a session's reader does: what arrives goes into one buffer,
// which is scanned again when there is more. It fails the test if scan does not
// keep its contract.
type feeder struct {
	codec      codec
	limit      int
	buf        []byte
	seen, need int // the last scan's, if it found no message
}

func (d *feeder) feed(t *testing.T, chunk []byte) (messages []string, err error) {
	t.Helper()
	d.buf = append(d.buf, chunk...)
	for len(d.buf) > 0 {
		message, n, need, err := d.codec.scan(d.buf, d.seen, d.limit)
		if err != nil {
			if message != nil || n != 0 {
				t.Fatalf("message %q and n %d with error %v", message, n, err)
			}
			return messages, err
		}
		if n == 0 {
			d.wait(t, need)
			return messages, nil
		}
		if n < 0 || n > len(d.buf) || need != n || len(d.buf) < d.need {
			t.Fatalf("%d bytes: took %d, need %d, and needed %d before", len(d.buf), n, need, d.need)
		}
		if len(message) > d.limit || cap(message) != len(message) || !within(message, d.buf[:n]) {
			t.Fatalf("message of %d bytes, capacity %d, limit %d, is no part of the frame of %d", len(message), cap(message), d.limit, n)
		}
		messages = append(messages, string(message))
		d.buf = d.buf[n:]
		d.seen, d.need = 0, 0
	}
	return messages, nil
}

func (d *feeder) wait(t *testing.T, need int) {
	t.Helper()
	if need <= len(d.buf) || need < d.need || need-1-overhead(d.codec) > d.limit {
		t.Fatalf("%d bytes: need %d, needed %d before, limit %d", len(d.buf), need, d.need, d.limit)
	}
	d.seen, d.need = len(d.buf), need
}

// end is the end of the stream.
func (d *feeder) end() (messages []string, err error) {
	if len(d.buf) == 0 {
		return nil, nil
	}
	message, err := d.codec.final(d.buf)
	if err != nil {
		return nil, err
	}
	return []string{string(message)}, nil
}

// within says whether part is a part of whole and not a copy.
func within(part, whole []byte) bool {
	if len(part) == 0 {
		return true
	}
	offset := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&whole[0]))
	return offset <= uintptr(len(whole)-len(part)) // a copy elsewhere is far beyond
}

// decode feeds chunks, and the end of the stream, to a new reader.
func decode(t *testing.T, f Framing, limit int, chunks ...[]byte) ([]string, error) {
	t.Helper()
	d := &feeder{codec: codecOf(f), limit: limit}
	var all []string
	for _, chunk := range chunks {
		messages, err := d.feed(t, chunk)
		all = append(all, messages...)
		if err != nil {
			return all, err
		}
	}
	messages, err := d.end()
	return append(all, messages...), err
}

// dribble is wire in chunks of one byte.
func dribble(wire []byte) [][]byte {
	var chunks [][]byte
	for i := range wire {
		chunks = append(chunks, wire[i:i+1])
	}
	return chunks
}

// encode frames the messages that f accepts and returns those, too. accepts and
// AppendFrame must agree.
func encode(t *testing.T, f Framing, messages ...[]byte) (wire []byte, accepted []string) {
	t.Helper()
	for _, m := range messages {
		framed, err := f.AppendFrame(wire, m)
		if accepts := codecOf(f).accepts(m); fmt.Sprint(err) != fmt.Sprint(accepts) {
			t.Fatalf("AppendFrame: %v, but accepts: %v", err, accepts)
		}
		if err != nil {
			if !bytes.Equal(framed, wire) {
				t.Fatalf("a refused message changed dst: %q", framed[len(wire):])
			}
			if !refusable(f, m) {
				t.Fatalf("%#v refused %q: %v", f, m, err)
			}
			continue
		}
		if refusable(f, m) {
			t.Fatalf("%#v took %q", f, m)
		}
		wire = framed
		accepted = append(accepted, string(m))
	}
	return wire, accepted
}

// refusable says whether f has no way to frame m.
func refusable(f Framing, m []byte) bool {
	switch f := f.(type) {
	case Lines:
		return bytes.Contains(m, []byte("\n"))
	case Delimiter:
		return bytes.Contains(m, []byte{f.Byte})
	case LengthPrefix:
		length := uint64(len(m))
		if f.IncludesHeader {
			length += uint64(f.Size)
		}
		return f.Size == 1 && length > math.MaxUint8 || f.Size == 2 && length > math.MaxUint16
	}
	return false
}

// requireRoundTrip sends messages through f in one piece, byte by byte, and cut
// in two at every byte.
func requireRoundTrip(t *testing.T, f Framing, messages ...[]byte) {
	t.Helper()
	wire, want := encode(t, f, messages...)
	limit := 0
	for _, m := range want {
		limit = max(limit, len(m))
	}
	got, err := decode(t, f, limit, dribble(wire)...)
	require.NoError(t, err)
	require.Equal(t, want, got, "byte by byte")
	for cut := range min(len(wire), 600) + 1 {
		got, err := decode(t, f, limit, wire[:cut], wire[cut:])
		require.NoError(t, err, "cut at %d", cut)
		require.Equal(t, want, got, "cut at %d", cut)
	}
}

func FuzzFramingRoundTrip(f *testing.F) {
	all := framings()
	for i := range all {
		f.Add(byte(i), []byte("hello"), []byte("a\rb\r"))
	}
	f.Fuzz(func(t *testing.T, which byte, a, b []byte) {
		framing := all[int(which)%len(all)].framing
		requireRoundTrip(t, framing, a, b, nil, a)
		requireRoundTrip(t, framing, b)
	})
}

// FuzzFramingAnyBytes decodes what no one encoded: in one piece or byte by byte
// gives the same, within the limit, and what it gives can be sent on.
func FuzzFramingAnyBytes(f *testing.F) {
	all := framings()
	for i := range all {
		f.Add(byte(i), uint16(5), []byte("5:hello,\x00\x00\x00\x05hello\r\n;"))
	}
	f.Fuzz(func(t *testing.T, which byte, limit uint16, wire []byte) {
		framing := all[int(which)%len(all)].framing
		whole, err := decode(t, framing, int(limit), wire)
		pieces, pieceErr := decode(t, framing, int(limit), dribble(wire)...)
		require.Equal(t, whole, pieces)
		require.Equal(t, kind(err), kind(pieceErr), "%v and %v", err, pieceErr)

		var messages [][]byte
		for _, m := range whole {
			messages = append(messages, []byte(m))
		}
		_, sendable := encode(t, framing, messages...)
		require.Equal(t, whole, sendable)
	})
}

// kind is what programs can tell errors by.
func kind(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, ErrMessageTooLarge):
		return "too large"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	}
	return "malformed"
}

func FuzzLinesAgreeWithScanner(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\r\r\n\n\r"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, err := decode(t, Lines{Unterminated: true}, len(wire), wire)
		require.NoError(t, err)
		require.Equal(t, scanLines(t, wire), got)

		// And the scanner understands what is sent.
		var messages [][]byte
		for _, m := range got {
			messages = append(messages, []byte(m))
		}
		again, _ := encode(t, Lines{}, messages...)
		require.Equal(t, got, scanLines(t, again))
	})
}

func scanLines(t *testing.T, wire []byte) (lines []string) {
	t.Helper()
	s := bufio.NewScanner(bytes.NewReader(wire))
	s.Buffer(nil, len(wire)+2)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	require.NoError(t, s.Err())
	return lines
}

func FuzzLengthPrefixAgreesWithBinary(f *testing.F) {
	var all []LengthPrefix
	for _, n := range framings() {
		if p, ok := n.framing.(LengthPrefix); ok {
			all = append(all, p)
		}
	}
	for i := range all {
		f.Add(byte(i), uint16(300), []byte("\x00\x00\x00\x05hello\x85\x00\x01"))
	}
	f.Fuzz(func(t *testing.T, which byte, limit uint16, wire []byte) {
		p := all[int(which)%len(all)]
		want, wantErr := readLengthPrefixed(p, int(limit), wire)
		got, err := decode(t, p, int(limit), wire)
		require.Equal(t, want, got)
		require.Equal(t, kind(wantErr), kind(err), "%v and %v", wantErr, err)
	})
}

// readLengthPrefixed is what a program without the library would write.
func readLengthPrefixed(p LengthPrefix, limit int, wire []byte) (messages []string, err error) {
	for r := bytes.NewReader(wire); ; {
		before := r.Len()
		length, err := readLength(p, r)
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		header := before - r.Len()
		if p.IncludesHeader && length < uint64(header) {
			return messages, errors.New("length without its header")
		}
		if p.IncludesHeader {
			length -= uint64(header)
		}
		if length > uint64(limit) {
			return messages, ErrMessageTooLarge
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(r, message); err != nil {
			return messages, io.ErrUnexpectedEOF // io.EOF behind a header, too
		}
		messages = append(messages, string(message))
	}
}

func readLength(p LengthPrefix, r *bytes.Reader) (uint64, error) {
	if p.Varint {
		before := r.Len()
		length, err := binary.ReadUvarint(r)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return 0, err
		case err != nil: // more than 64 bits
			return 0, ErrMessageTooLarge
		case before-r.Len() != len(binary.AppendUvarint(nil, length)):
			return 0, errors.New("overlong varint")
		}
		return length, nil
	}
	var order binary.ByteOrder = binary.BigEndian
	if p.LittleEndian {
		order = binary.LittleEndian
	}
	b := make([]byte, p.size())
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, err
	}
	switch len(b) {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(order.Uint16(b)), nil
	case 4:
		return uint64(order.Uint32(b)), nil
	}
	return order.Uint64(b), nil
}
