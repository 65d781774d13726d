package chanio_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
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
			return nil, 0, fmt.Errorf("netstring: %w", chanio.ErrMessageTooLarge)
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
	framing chanio.Framing
}

// framings returns framings with every valid setting, and a user's own.
func framings() []namedFraming {
	all := []namedFraming{
		{"lines", chanio.Lines{}},
		{"lines CRLF", chanio.Lines{CRLF: true}},
		{"lines unterminated", chanio.Lines{Unterminated: true}},
		{"delimiter unterminated", chanio.Delimiter{Byte: ';', Unterminated: true}},
		{"delimiter NUL", chanio.Delimiter{}},
		{"delimiter ;", chanio.Delimiter{Byte: ';'}},
		{"length varint", chanio.LengthPrefix{Varint: true}},
		{"length varint with header", chanio.LengthPrefix{Varint: true, IncludesHeader: true}},
		{"netstring", netstring{}},
	}
	for _, size := range []int{0, 1, 2, 4, 8} {
		for _, little := range []bool{false, true} {
			for _, header := range []bool{false, true} {
				f := chanio.LengthPrefix{Size: size, LittleEndian: little, IncludesHeader: header}
				all = append(all, namedFraming{fmt.Sprintf("length %d little=%v header=%v", size, little, header), f})
			}
		}
	}
	return all
}

// overhead returns how many bytes beyond the limit c may ever wait for.
func overhead(c chanio.Codec) int {
	if chanio.IsUsers(c) {
		return chanio.MaxOverhead
	}
	return chanio.MaxHeader
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

// FuzzFramingAnyBytes decodes bytes that no encoder made. In one piece or byte
// by byte, the result must be the same and within the limit, and it must be
// possible to send the messages on.
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

// kind returns what programs can tell errors apart by.
func kind(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, chanio.ErrMessageTooLarge):
		return "too large"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	}
	return "malformed"
}

func FuzzLinesAgreeWithScanner(f *testing.F) {
	f.Add([]byte("a\nb\r\nc\r\r\n\n\r"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, err := decode(t, chanio.Lines{Unterminated: true}, len(wire), wire)
		require.NoError(t, err)
		require.Equal(t, scanLines(t, wire), got)

		// And the scanner understands what is sent.
		var messages [][]byte
		for _, m := range got {
			messages = append(messages, []byte(m))
		}
		again, _ := encode(t, chanio.Lines{}, messages...)
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
	var all []chanio.LengthPrefix
	for _, n := range framings() {
		if p, ok := n.framing.(chanio.LengthPrefix); ok {
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
func readLengthPrefixed(p chanio.LengthPrefix, limit int, wire []byte) (messages []string, err error) {
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
			return messages, chanio.ErrMessageTooLarge
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(r, message); err != nil {
			return messages, io.ErrUnexpectedEOF // io.EOF after a header, too
		}
		messages = append(messages, string(message))
	}
}

func readLength(p chanio.LengthPrefix, r *bytes.Reader) (uint64, error) {
	if p.Varint {
		before := r.Len()
		length, err := binary.ReadUvarint(r)
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return 0, err
		case err != nil: // more than 64 bits
			return 0, chanio.ErrMessageTooLarge
		case before-r.Len() != len(binary.AppendUvarint(nil, length)):
			return 0, errors.New("overlong varint")
		}
		return length, nil
	}
	var order binary.ByteOrder = binary.BigEndian
	if p.LittleEndian {
		order = binary.LittleEndian
	}
	b := make([]byte, p.HeaderSize())
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
