package chanio_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"example.com/chanio"
)

// The payload and the buffer of the benchmarks are small messages, as many as a
// read may bring.
const (
	benchPayload = 32
	benchBuffer  = 64 << 10
)

var benchFramings = []namedFraming{
	{"lines", chanio.Lines{}},
	{"delimiter", chanio.Delimiter{}},
	{"length4", chanio.LengthPrefix{}},
	{"length2-little-header", chanio.LengthPrefix{Size: 2, LittleEndian: true, IncludesHeader: true}},
	{"varint", chanio.LengthPrefix{Varint: true}},
	{"varint-header", chanio.LengthPrefix{Varint: true, IncludesHeader: true}},
	{"user", netstring{}},
}

// benchWire is a buffer full of whole frames.
func benchWire(b *testing.B, f chanio.Framing) []byte {
	b.Helper()
	message := bytes.Repeat([]byte{'x'}, benchPayload)
	wire := make([]byte, 0, benchBuffer)
	for {
		more, err := f.AppendFrame(wire, message)
		if err != nil {
			b.Fatal(err)
		}
		if len(more) > benchBuffer {
			return wire
		}
		wire = more
	}
}

// BenchmarkFramingAppend: an op is one message framed into a buffer with room.
func BenchmarkFramingAppend(b *testing.B) {
	message := bytes.Repeat([]byte{'x'}, benchPayload)
	for _, f := range benchFramings {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(benchPayload)
			dst := make([]byte, 0, benchBuffer)
			for b.Loop() {
				if cap(dst)-len(dst) < 2*benchPayload {
					dst = dst[:0]
				}
				dst, _ = f.framing.AppendFrame(dst, message)
			}
		})
	}
	b.Run("std-binary", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(benchPayload)
		dst := make([]byte, 0, benchBuffer)
		for b.Loop() {
			if cap(dst)-len(dst) < 2*benchPayload {
				dst = dst[:0]
			}
			dst = append(binary.BigEndian.AppendUint32(dst, benchPayload), message...)
		}
	})
}

// BenchmarkFramingScan: an op is one message found in a buffer full of them, as
// a session's reader does it, without the copy for the receiver.
func BenchmarkFramingScan(b *testing.B) {
	for _, f := range benchFramings {
		b.Run(f.name, func(b *testing.B) {
			c := chanio.CodecOf(f.framing)
			wire := benchWire(b, f.framing)
			b.ReportAllocs()
			b.SetBytes(benchPayload)
			buf := wire
			for b.Loop() {
				message, n, _, err := chanio.Scan(c, buf, 0, benchPayload)
				if err != nil || len(message) != benchPayload {
					b.Fatal(len(message), err)
				}
				if buf = buf[n:]; len(buf) == 0 {
					buf = wire
				}
			}
		})
	}
	b.Run("std-scanner", func(b *testing.B) {
		wire := benchWire(b, chanio.Lines{})
		b.ReportAllocs()
		b.SetBytes(benchPayload)
		s := bufio.NewScanner(&ring{wire: wire})
		for b.Loop() {
			if !s.Scan() || len(s.Bytes()) != benchPayload {
				b.Fatal(s.Err())
			}
		}
	})
	b.Run("std-binary", func(b *testing.B) {
		wire := benchWire(b, chanio.LengthPrefix{})
		b.ReportAllocs()
		b.SetBytes(benchPayload)
		r := bufio.NewReaderSize(&ring{wire: wire}, benchBuffer)
		message := make([]byte, benchPayload)
		for b.Loop() {
			header, err := r.Peek(4)
			if err != nil || binary.BigEndian.Uint32(header) != benchPayload {
				b.Fatal(header, err)
			}
			_, _ = r.Discard(4)
			if _, err := io.ReadFull(r, message); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// ring reads wire again and again.
type ring struct {
	wire []byte
	at   int
}

func (r *ring) Read(p []byte) (int, error) {
	n := copy(p, r.wire[r.at:])
	r.at = (r.at + n) % len(r.wire)
	return n, nil
}

// BenchmarkFramingDribble: an op is a message of 1 MiB that arrives in pieces
// of 64 bytes, with a scan after each. A peer can make a reader do this.
func BenchmarkFramingDribble(b *testing.B) {
	const size, piece = 1 << 20, 64
	for _, f := range benchFramings {
		b.Run(f.name, func(b *testing.B) {
			message := bytes.Repeat([]byte{'x'}, size)
			if _, ok := f.framing.(chanio.LengthPrefix); ok && f.framing.(chanio.LengthPrefix).Size == 2 {
				message = message[:1<<16-3]
			}
			c := chanio.CodecOf(f.framing)
			wire, err := c.AppendFrame(nil, message)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				seen, need := 0, 0
				for end := piece; end < len(wire); end += piece {
					if end < need {
						continue
					}
					if _, _, need, err = chanio.Scan(c, wire[:end], seen, size); err != nil {
						b.Fatal(err)
					}
					seen = end
				}
			}
		})
	}
}
