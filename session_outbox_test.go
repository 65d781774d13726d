package chanio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/sharedlog"
)

// headed frames a message with a header of two bytes. It refuses messages that
// the header can't describe.
type headed struct{}

var errNotHeaded = errors.New("too long for its header")

func (headed) AppendFrame(dst, message []byte) ([]byte, error) {
	if len(message) > 1<<16-1 {
		return nil, errNotHeaded
	}
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(message))), message...), nil
}

func (headed) Next(buf []byte, _ int) ([]byte, int, error) {
	if len(buf) < 2 || len(buf) < 2+int(binary.BigEndian.Uint16(buf)) {
		return nil, 0, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(buf))
	return buf[2:n], n, nil
}

// checkBatches adds messages of the given sizes, in batches that end where a
// writer ends them, and requires that their output is exactly their
// concatenation.
func checkBatches(t *testing.T, sizes []int, f Framing) {
	t.Helper()
	var b outBatch
	var want []byte
	messages, checks := 0, 0
	check := func() {
		t.Helper()
		got := bytes.Join(b.parts, nil)
		require.True(t, bytes.Equal(want, got), "want %d bytes, got %d", len(want), len(got))
		require.Equal(t, len(want), b.size)
		require.Equal(t, messages, b.messages)
		require.Equal(t, len(want) == 0, b.empty())
		require.LessOrEqual(t, len(b.parts), maxParts)
		b.reset()
		want, messages = nil, 0
		require.True(t, b.empty())
		if checks++; checks%3 == 0 {
			b.free() // as before a writer goes idle
		}
	}
	for i, size := range sizes {
		m := bytes.Repeat([]byte{byte(i + 1)}, size)
		wire := m
		err := error(nil)
		if f != nil {
			wire, err = f.AppendFrame(nil, m)
		}
		require.Equal(t, err, b.add(m, f))
		if err == nil && len(wire) > 0 {
			want = append(want, wire...)
			messages++
		}
		if b.full() {
			check()
		}
	}
	check()
}

func TestBatchIsTheConcatenationOfItsMessages(t *testing.T) {
	for _, test := range []struct {
		name  string
		sizes []int
	}{
		{"none", nil},
		{"an empty one", []int{0}},
		{"empty ones between others", []int{0, 1, 0, copyLimit + 1, 0, 2, 0}},
		{"one small", []int{1}},
		{"one large", []int{blockSize + 1}},
		{"small ones", []int{1, 2, 3}},
		{"small, then large", []int{1, copyLimit + 1}},
		{"large, then small", []int{copyLimit + 1, 1, 1}},
		{"large between small ones", []int{1, 1, copyLimit + 1, 1, 1}},
		{"at the limit of copying", []int{copyLimit, copyLimit, copyLimit + 1, copyLimit}},
		{"just full", []int{blockSize - 1, 1, 1}},
		{"small ones past a buffer", bytesOf(200, 1000)},
		{"many empty ones", make([]int, 300)},
		{"many parts", bytesOf(200, copyLimit+1)},
		{"a message that can't be framed among others", []int{5, 1 << 16, 5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			checkBatches(t, test.sizes, nil)
			checkBatches(t, test.sizes, headed{})
		})
	}
}

// bytesOf returns n equal sizes.
func bytesOf(n, size int) []int {
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = size
	}
	return sizes
}

func TestBatchOfRandomMessagesIsTheirConcatenation(t *testing.T) {
	for range 30 {
		sizes := make([]int, rand.IntN(100))
		for i := range sizes {
			sizes[i] = rand.IntN([]int{2, 100, copyLimit, 2 * copyLimit, 2 * blockSize}[rand.IntN(5)])
		}
		checkBatches(t, sizes, nil)
		checkBatches(t, sizes, headed{})
	}
}

func FuzzOutBatch(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x10, 0, 0x10, 1}, false)
	f.Add([]byte{0xff, 0xff, 0, 1, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, data []byte, framed bool) {
		var sizes []int
		for ; len(data) >= 2 && len(sizes) < 300; data = data[2:] {
			sizes = append(sizes, int(binary.BigEndian.Uint16(data))*3/2)
		}
		if framed {
			checkBatches(t, sizes, headed{})
		} else {
			checkBatches(t, sizes, nil)
		}
	})
}

func TestBatchCopiesSmallMessagesTogetherAndLargeOnesNot(t *testing.T) {
	var b outBatch
	for range 2 { // again after a reset
		small, large := make([]byte, 10), make([]byte, copyLimit+1)
		for _, m := range [][]byte{small, small, small, large, small, small} {
			require.NoError(t, b.add(m, nil))
		}
		require.Len(t, b.parts, 3, "together, alone, together")
		require.Same(t, &large[0], &b.parts[1][0], "a large message is not copied")
		b.reset()
	}
	lone := make([]byte, aloneLimit+1)
	require.NoError(t, b.add(lone, nil))
	require.Same(t, &lone[0], &b.parts[0][0], "a lone message is not copied")
	require.False(t, b.fresh())
	b.reset()
	require.NoError(t, b.add(lone[:aloneLimit], nil))
	require.NotSame(t, &lone[0], &b.parts[0][0], "unless it is small")
	require.True(t, b.fresh())
}

func TestBatchHoldsNoMemoryOfItsOwnForAMemberAlone(t *testing.T) {
	log := sharedlog.New(1 << 20)
	for range 1 << 12 { // until its segments are large
		log.Append(make([]byte, 256))
	}
	cursor := log.End()
	chunk := func(n int) sharedlog.Chunk {
		log.Append(make([]byte, n))
		return cursor.Next(sharedlog.AnyNumber)
	}
	var b outBatch
	first := chunk(10)
	b.addHubChunk(new(member), first)
	require.True(t, b.fresh(), "it goes out as what was copied does")
	b.addHubChunk(new(member), chunk(aloneLimit))
	b.addHubChunk(new(member), chunk(50<<10))
	require.Nil(t, b.buf)
	require.Len(t, b.parts, 1, "what is contiguous stays so")
	require.Len(t, b.parts[0], b.size)
	require.Same(t, &first.Data[0], &b.parts[0][0])
	require.Equal(t, len(b.parts[0]), cap(b.parts[0]), "nothing can grow into the log")
	require.False(t, b.fresh())
	b.reset()

	b.addHubChunk(new(member), chunk(10))
	require.NoError(t, b.add([]byte("what a user sends"), nil))
	b.addHubChunk(new(member), chunk(10))
	require.Len(t, b.parts, 1, "else small ones are copied together")
	require.True(t, b.fresh())
	require.True(t, b.small())
	require.NoError(t, b.add(make([]byte, copyLimit), nil))
	require.False(t, b.small())
	require.Equal(t, "what a user sends", string(b.parts[0][10:27]))
}

func TestBatchKeepsNoMessageAfterReset(t *testing.T) {
	var b outBatch
	for range 4 {
		require.NoError(t, b.add(make([]byte, copyLimit+1), nil))
	}
	b.reset()
	for _, p := range b.parts[:cap(b.parts)] {
		require.Nil(t, p)
	}
	b.free()
	require.Nil(t, b.buf, "an idle writer holds no buffer")
}

// BenchmarkBatchGather: an op is one message taken into the writer's batch, which
// is emptied when it is worth a write.
func BenchmarkBatchGather(b *testing.B) {
	for _, c := range []struct {
		name    string
		size    int
		framing Framing
	}{
		{"32B", 32, nil},
		{"4KiB", copyLimit, nil},
		{"64KiB", 64 << 10, nil},
		{"framed-32B", 32, LengthPrefix{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var t outBatch
			m := make([]byte, c.size)
			b.ReportAllocs()
			for b.Loop() {
				if err := t.add(m, c.framing); err != nil {
					b.Fatal(err)
				}
				if t.full() {
					t.reset()
				}
			}
			t.reset()
			t.free()
		})
	}
}

func TestALargeMessageIsFramedWithoutACopy(t *testing.T) {
	for _, f := range []Framing{
		Lines{}, Lines{CRLF: true}, Delimiter{}, LengthPrefix{}, LengthPrefix{Size: 8, LittleEndian: true},
		LengthPrefix{IncludesHeader: true}, LengthPrefix{Varint: true}, LengthPrefix{Varint: true, IncludesHeader: true},
	} {
		for _, size := range []int{wrapLimit, wrapLimit + 1, 3 * blockSize} {
			small, large := []byte("small"), bytes.Repeat([]byte{'x'}, size)
			ending := append(bytes.Repeat([]byte{'y'}, size), '\r')
			var b outBatch
			var want []byte
			for _, m := range [][]byte{small, large, ending, small} {
				require.NoError(t, b.add(m, codecOf(f)))
				var err error
				want, err = f.AppendFrame(want, m)
				require.NoError(t, err)
			}
			require.True(t, bytes.Equal(want, bytes.Join(b.parts, nil)), "%T%+v, %d bytes", f, f, size)
			require.Equal(t, len(want), b.size)
			require.Equal(t, 4, b.messages)
			copied := true
			for _, p := range b.parts {
				copied = copied && &p[0] != &large[0]
			}
			require.Equal(t, size <= wrapLimit, copied)
			b.reset()
			b.free()
		}
	}
}

func TestALargeMessageThatCannotBeFramedAddsNothing(t *testing.T) {
	large := bytes.Repeat([]byte{'\n', 0}, wrapLimit)
	for _, f := range []Framing{Lines{}, Delimiter{}, LengthPrefix{Size: 1}} {
		var b outBatch
		require.Error(t, b.add(large, codecOf(f)))
		require.True(t, b.empty())
		require.Empty(t, b.parts)
	}
}
