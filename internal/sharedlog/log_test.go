package sharedlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/memory"
)

// whole returns a chunk's data in one piece.
func whole(chunk Chunk) []byte {
	return append(append([]byte(nil), chunk.Data...), bytes.Join(chunk.More, nil)...)
}

// readAll returns everything after c.
func readAll(c *Cursor) (all []byte, messages int) {
	for {
		chunk := c.Next(AnyNumber)
		if chunk.Messages == 0 {
			return all, messages
		}
		all = append(all, whole(chunk)...)
		messages += chunk.Messages
	}
}

// rest returns how many messages there are after c.
func rest(c Cursor) int64 {
	return c.Rest().Messages
}

// repeat returns n bytes of value b.
func repeat(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func TestACursorReadsEverythingAppendedAfterIt(t *testing.T) {
	for _, test := range []struct {
		name   string
		window int
		sizes  []int
	}{
		{"one message", 1 << 20, []int{10}},
		{"an empty message", 1 << 20, []int{0}},
		{"empty messages alone, then others", 1 << 20, []int{0, 0, 3, 0}},
		{"a segment filled to the byte", 1 << 20, []int{minSegment, 1}},
		{"a segment filled to the byte, with empty messages after it", 1 << 20, []int{minSegment, 0, 0, 1}},
		{"messages that do not fit in what is left", 1 << 20, []int{500, 20, 1000, 24, 1}},
		{"messages larger than any segment", 1 << 20, []int{MaxSegment + 1, 1, 3 * MaxSegment, MaxSegment}},
		{"a window smaller than a segment", 1, []int{1, 0, 1, 600, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := New(test.window)
			var c, late Cursor
			var want, wantLate []byte
			for i, n := range test.sizes {
				m := repeat(byte('a'+i), n)
				before := l.Append(m)
				if i == 0 {
					c = before
				}
				if i == len(test.sizes)/2 {
					late = before
					wantLate = nil
				}
				want, wantLate = append(want, m...), append(wantLate, m...)
			}
			require.Equal(t, Position{int64(len(want)), int64(len(test.sizes)), int64(len(want))}, l.Head())
			require.Equal(t, l.Head(), c.Rest())
			got, messages := readAll(&c)
			require.Equal(t, want, got)
			require.Equal(t, len(test.sizes), messages)
			require.Zero(t, rest(c))
			got, messages = readAll(&late)
			require.Equal(t, wantLate, got)
			require.Equal(t, len(test.sizes)-len(test.sizes)/2, messages)
		})
	}
}

func TestTheZeroCursorReadsNothing(t *testing.T) {
	var c Cursor
	require.Zero(t, c.Next(AnyNumber))
	require.Zero(t, rest(c))
	l := New(1)
	_, some := l.Cut(c)
	require.False(t, some)
}

func TestEndReadsOnlyWhatIsAppendedAfterIt(t *testing.T) {
	l := New(1 << 20)
	require.Equal(t, Cursor{}, l.End(), "of a log that holds nothing")
	l.Append([]byte("before"))
	end := l.End()
	require.Zero(t, rest(end))
	l.Append(repeat('x', minSegment))
	got, n := readAll(&end)
	require.Equal(t, repeat('x', minSegment), got)
	require.Equal(t, 1, n)
}

func TestAChunkIsWholeMessagesThatNothingCanGrowInto(t *testing.T) {
	l := New(1 << 20)
	c := l.Append([]byte("one"))
	chunk := c.Next(AnyNumber)
	require.Equal(t, 1, chunk.Messages)
	require.Equal(t, len(chunk.Data), cap(chunk.Data))
	l.Append([]byte("two"))
	require.Equal(t, "one", string(chunk.Data))
}

func TestSegmentsGrowWithTrafficAndShrinkWhenAllHaveReadThem(t *testing.T) {
	l := New(1 << 20)
	require.Nil(t, l.tail, "a log without messages holds nothing")
	for range 1 << 12 {
		l.Append(make([]byte, 256))
	}
	require.Equal(t, MaxSegment, len(l.tail.buf))
	l.Drop()
	require.Nil(t, l.tail)
	require.Equal(t, Position{1 << 20, 1 << 12, 1 << 20}, l.Head(), "positions go on")
	for range 20 {
		l.Append([]byte{1})
		l.Drop()
	}
	l.Append([]byte{1})
	require.Equal(t, minSegment, len(l.tail.buf))
}

func TestSegmentsOfASmallWindowAreSmall(t *testing.T) {
	l := New(64 << 10)
	for range 1 << 12 {
		l.Append(make([]byte, 256))
	}
	require.Equal(t, 16<<10, len(l.tail.buf))
}

func TestNothingKeepsASegmentButTheCursorsInAndBeforeIt(t *testing.T) {
	l := New(1 << 20)
	freed := make(chan struct{}, 1)
	slow := l.Append(repeat('a', minSegment))
	first := l.tail
	runtime.AddCleanup(first.segment, func(struct{}) { freed <- struct{}{} }, struct{}{})
	first = nil
	l.Append(repeat('b', MaxSegment))
	l.Append(repeat('c', MaxSegment))
	got, _ := readAll(&slow)
	require.Len(t, got, minSegment+2*MaxSegment)
	memory.AwaitCollected(t, freed, 1)
	runtime.KeepAlive(&slow)
	runtime.KeepAlive(&l)
}

func TestASegmentIsSealedBeforeItsCountOfEmptyMessagesOverflows(t *testing.T) {
	l := New(1 << 20)
	l.Append(nil)
	full := l.tail
	full.fill(0, maxMessages)
	c := l.End()
	l.Append(nil)
	require.NotSame(t, full, l.tail)
	_, n := readAll(&c)
	require.Equal(t, 1, n)
}

func TestManyCursorsReadBesideTheAppender(t *testing.T) {
	const messages, readers = 50_000, 4
	l := New(256 << 10)
	var readersDone sync.WaitGroup
	first := l.Append(binary.BigEndian.AppendUint64(nil, 0))
	appended := make(chan struct{})
	for range readers {
		c := first
		readersDone.Go(func() {
			next := uint64(0)
			for last := false; next < messages; {
				select {
				case <-appended:
					last = true
				default:
				}
				read := c.Next(AnyNumber)
				chunk, n := read.Data, read.Messages
				if n == 0 && last {
					t.Errorf("message %d is missing", next)
					return
				}
				for range n {
					size := int(next%5) * 8
					if got := binary.BigEndian.Uint64(chunk); got != next {
						t.Errorf("message %d came as %d", next, got)
						return
					}
					chunk = chunk[8+size:]
					next++
				}
				if len(chunk) != 0 {
					t.Errorf("half a message after %d", next)
					return
				}
				runtime.Gosched()
			}
		})
	}
	for i := uint64(1); i < messages; i++ {
		l.Append(append(binary.BigEndian.AppendUint64(nil, i), make([]byte, i%5*8)...))
	}
	close(appended)
	readersDone.Wait()
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{32, 1024} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			l := New(16 << 20)
			m := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				l.Append(m)
			}
		})
	}
}
