package chanio

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/buffer"
)

// fuzzFraming returns the framing that kind selects, of all kinds.
func fuzzFraming(kind uint8) Framing {
	all := []Framing{
		Lines{}, Delimiter{Byte: 'a'}, LengthPrefix{Size: 2}, LengthPrefix{Varint: true, IncludesHeader: true}, netstring{},
		Lines{CRLF: true, Unterminated: true}, Delimiter{Unterminated: true}, elsewhere{}, sealed{3},
	}
	return all[int(kind)%len(all)]
}

// elsewhere is a Framing whose messages are not parts of Next's input.
type elsewhere struct{ LengthPrefix }

func (f elsewhere) Next(buf []byte, max int) ([]byte, int, error) {
	m, n, err := f.LengthPrefix.Next(buf, max)
	return append([]byte(nil), m...), n, err
}

// FuzzBatch cuts any bytes at any places. Batches, and the messages taken out
// of them, must have the messages and the error that Next finds in the whole,
// and the wire form that a batch claims to have must be right.
func FuzzBatch(f *testing.F) {
	for kind := range uint8(9) {
		f.Add([]byte("a\r\nbc\n\n\x00\x00\x00\x03abc\x02xy"), uint16(1), kind, false)
		f.Add(make([]byte, 3000), uint16(200), kind, true)
		f.Add(append([]byte("60000:\xEA\x60\xEA\x61"), make([]byte, 60100)...), uint16(5000), kind, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16, kind uint8, copies bool) {
		framing := fuzzFraming(kind)
		limit := 1000
		if len(data) > 10_000 {
			limit = 100_000
		}
		var want []string
		failed := false
		rest := data
		for {
			m, n, err := framing.Next(rest, limit)
			if failed = err != nil || len(m) > limit; failed || n == 0 { // sealed knows no limit
				break
			}
			want = append(want, string(m))
			rest = rest[n:]
		}

		if len(rest)-maxOverhead >= limit {
			t.Skip("a session ends, whatever Next says")
		}
		in := inbox{codec: codecOf(framing), limit: limit, copies: copies}
		var got []string
		collect := func() {
			if in.out.buf == nil {
				return
			}
			b := Batch{batchMemory: in.out}
			require.NotZero(t, b.Len())
			require.LessOrEqual(t, b.Size(), max(blockSize, len(b.At(0))), "64 KiB, or one message")
			checkWire(t, &b, framing)
			for i, m := range b.All() {
				got = append(got, string(m))
				kept := in.message(i)
				if string(m) != string(kept) || len(kept) != cap(kept) {
					t.Fatalf("message %d is not its copy", i)
				}
			}
			in.out = batchMemory{}
			b.Release()
		}
		// Large inputs are cut into few pieces: a fuzzer wants many inputs a second.
		step := max(1+int(cut), len(data)/200)
		var err error
		for wire := data; len(wire) > 0 && err == nil; collect() {
			if in.more {
				err = in.again()
				continue
			}
			w := in.window()
			buf := w.buf
			if buf == nil {
				buf = buffer.Get(w.to)
			}
			n := copy(buf.B[w.from:w.to], wire[:min(len(wire), step)])
			require.Positive(t, n)
			wire = wire[n:]
			err = in.took(w, buf, n)
			held := len(in.short)
			if in.long != nil {
				held = len(in.long.B)
			}
			require.LessOrEqual(t, held, max(2*claimFactor*in.have, shortRest), "of %d bytes", in.have)
		}
		for in.more && err == nil {
			err = in.again()
			collect()
		}
		if err == nil && !failed {
			if err = in.final(); err == nil {
				if m, finalErr := in.codec.final(rest); len(rest) > 0 && finalErr == nil {
					want = append(want, string(m))
				}
				collect()
			} else {
				failed = len(rest) > 0
			}
		}
		if !slices.Equal(want, got) { // a diff of so many would take forever
			t.Fatalf("%d messages, want %d: %v", len(got), len(want), err)
		}
		require.Equal(t, failed, err != nil, "%v", err)
		in.free()
	})
}

// checkWire checks that the wire form that a batch claims to have in memory is
// right.
func checkWire(t *testing.T, b *Batch, framing Framing) {
	t.Helper()
	wire, ok := b.wire(codecOf(framing))
	if !ok {
		return
	}
	var framed []byte
	for _, m := range b.All() {
		var err error
		framed, err = framing.AppendFrame(framed, m)
		require.NoError(t, err)
	}
	require.Equal(t, string(framed), string(wire))
}
