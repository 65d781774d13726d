package chanio_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// fuzzFraming returns the framing that kind selects, of all kinds.
func fuzzFraming(kind uint8) chanio.Framing {
	all := []chanio.Framing{
		chanio.Lines{}, chanio.Delimiter{Byte: 'a'}, chanio.LengthPrefix{Size: 2}, chanio.LengthPrefix{Varint: true, IncludesHeader: true}, netstring{},
		chanio.Lines{CRLF: true, Unterminated: true}, chanio.Delimiter{Unterminated: true}, elsewhere{}, sealed{3},
	}
	return all[int(kind)%len(all)]
}

// elsewhere is a Framing whose messages are not parts of Next's input.
type elsewhere struct{ chanio.LengthPrefix }

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

		if len(rest)-chanio.MaxOverhead >= limit {
			t.Skip("a session ends, whatever Next says")
		}
		in := chanio.NewInbox(framing, limit, copies)
		var got []string
		collect := func() {
			b := in.Batch()
			if b == nil {
				return
			}
			require.NotZero(t, b.Len())
			require.LessOrEqual(t, b.Size(), max(chanio.BlockSize, len(b.At(0))), "64 KiB, or one message")
			checkWire(t, b, framing)
			for i, m := range b.All() {
				got = append(got, string(m))
				kept := in.Message(i)
				if string(m) != string(kept) || len(kept) != cap(kept) {
					t.Fatalf("message %d is not its copy", i)
				}
			}
			in.Forget()
			b.Release()
		}
		// Large inputs are cut into few pieces: a fuzzer wants many inputs a second.
		step := max(1+int(cut), len(data)/200)
		var err error
		for wire := data; len(wire) > 0 && err == nil; collect() {
			if in.More() {
				err = in.Again()
				continue
			}
			var n int
			n, err = in.Read(wire, step)
			require.Positive(t, n)
			wire = wire[n:]
			have, held := in.Part()
			require.LessOrEqual(t, held, max(2*chanio.ClaimFactor*have, chanio.ShortRest), "of %d bytes", have)
		}
		for in.More() && err == nil {
			err = in.Again()
			collect()
		}
		if err == nil && !failed {
			if err = in.Final(); err == nil {
				if m, finalErr := chanio.Final(chanio.CodecOf(framing), rest); len(rest) > 0 && finalErr == nil {
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
		in.Free()
	})
}

// checkWire checks that the wire form that a batch claims to have in memory is
// right.
func checkWire(t *testing.T, b *chanio.Batch, framing chanio.Framing) {
	t.Helper()
	wire, ok := b.Wire(chanio.CodecOf(framing))
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
