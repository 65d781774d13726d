package chanio_test

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// feeder decodes as a session's reader does: what arrives goes into one buffer,
// which is scanned again when there is more. It fails the test if scan breaks
// its contract.
type feeder struct {
	codec      chanio.Codec
	limit      int
	buf        []byte
	seen, need int // the last scan's, if it found no message
}

func (d *feeder) feed(t *testing.T, chunk []byte) (messages []string, err error) {
	t.Helper()
	d.buf = append(d.buf, chunk...)
	for len(d.buf) > 0 {
		message, n, need, err := chanio.Scan(d.codec, d.buf, d.seen, d.limit)
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

// end ends the stream.
func (d *feeder) end() (messages []string, err error) {
	if len(d.buf) == 0 {
		return nil, nil
	}
	message, err := chanio.Final(d.codec, d.buf)
	if err != nil {
		return nil, err
	}
	return []string{string(message)}, nil
}

// within reports whether part is a part of whole and not a copy.
func within(part, whole []byte) bool {
	if len(part) == 0 {
		return true
	}
	offset := uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&whole[0]))
	return offset <= uintptr(len(whole)-len(part)) // a copy elsewhere is far beyond
}

// decode feeds chunks, and the end of the stream, to a new reader.
func decode(t *testing.T, f chanio.Framing, limit int, chunks ...[]byte) ([]string, error) {
	t.Helper()
	d := &feeder{codec: chanio.CodecOf(f), limit: limit}
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

// dribble returns wire in chunks of one byte.
func dribble(wire []byte) [][]byte {
	var chunks [][]byte
	for i := range wire {
		chunks = append(chunks, wire[i:i+1])
	}
	return chunks
}

// encode frames the messages that f accepts, and returns those too. accepts and
// AppendFrame must agree.
func encode(t *testing.T, f chanio.Framing, messages ...[]byte) (wire []byte, accepted []string) {
	t.Helper()
	for _, m := range messages {
		framed, err := f.AppendFrame(wire, m)
		if accepts := chanio.Accepts(chanio.CodecOf(f), m); fmt.Sprint(err) != fmt.Sprint(accepts) {
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

// refusable reports whether f has no way to frame m.
func refusable(f chanio.Framing, m []byte) bool {
	switch f := f.(type) {
	case chanio.Lines:
		return bytes.Contains(m, []byte("\n"))
	case chanio.Delimiter:
		return bytes.Contains(m, []byte{f.Byte})
	case chanio.LengthPrefix:
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
func requireRoundTrip(t *testing.T, f chanio.Framing, messages ...[]byte) {
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
