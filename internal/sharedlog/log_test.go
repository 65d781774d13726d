package sharedlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// readAll returns what there is behind c.
func readAll(c *Cursor) (all []byte, messages int) {
	for {
		chunk := c.Next()
		if chunk.Messages == 0 {
			return all, messages
		}
		all = append(all, chunk.Data...)
		messages += chunk.Messages
	}
}

// rest returns how many messages there are behind c.
func rest(c Cursor) int64 {
	messages, _ := c.Rest()
	return messages
}

// repeat returns n bytes of value b.
func repeat(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

func TestACursorReadsAllThatIsAppendedBehindIt(t *testing.T) {
	for _, test := range []struct {
		name   string
		window int
		sizes  []int
	}{
		{"one message", 1 << 20, []int{10}},
		{"an empty message", 1 << 20, []int{0}},
		{"empty messages alone, then others", 1 << 20, []int{0, 0, 3, 0}},
		{"a segment filled to the byte", 1 << 20, []int{minSegment, 1}},
		{"a segment filled to the byte, with empty messages behind", 1 << 20, []int{minSegment, 0, 0, 1}},
		{"messages that do not fit in what is left", 1 << 20, []int{500, 20, 1000, 24, 1}},
		{"messages larger than any segment", 1 << 20, []int{maxSegment + 1, 1, 3 * maxSegment, maxSegment}},
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
			behind, bytes := c.Rest()
			require.EqualValues(t, len(test.sizes), behind)
			require.EqualValues(t, len(want), bytes)
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
	require.Zero(t, c.Next())
	require.Zero(t, rest(c))
	c.Cut()
	require.Equal(t, Cursor{}, c)
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
	chunk := c.Next()
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
	require.Equal(t, maxSegment, len(l.tail.buf))
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

func TestALogIsLittleLargerThanItsMessages(t *testing.T) {
	random := make([]int, 1000)
	for i := range random {
		random[i] = rand.New(rand.NewPCG(uint64(i), 1)).IntN(100 << 10)
	}
	for _, sizes := range [][]int{
		{1}, {100}, {1000}, {20 << 10}, {22 << 10}, {32 << 10}, {33 << 10}, {maxSegment - 1}, {maxSegment + 1},
		{1, 40 << 10}, {1, 70 << 10}, {20 << 10, 50 << 10}, {1, 1, 1, 31 << 10}, random,
	} {
		l := New(16 << 20)
		first := l.Append(nil)
		for i := 0; l.Head().Bytes < 4<<20; i++ {
			l.Append(make([]byte, sizes[i%len(sizes)]))
		}
		held := 0
		for g := first.seg; g != nil; g = g.next.Load() {
			held += len(g.buf)
		}
		require.Less(t, held, int(l.Head().Bytes)*8/5+maxSegment, "messages of %d bytes", sizes[:min(4, len(sizes))])
	}
}

func TestNothingKeepsASegmentButTheCursorsInAndBeforeIt(t *testing.T) {
	l := New(1 << 20)
	var freed sync.WaitGroup
	freed.Add(1)
	slow := l.Append(repeat('a', minSegment))
	first := l.tail
	runtime.AddCleanup(first, func(struct{}) { freed.Done() }, struct{}{})
	first = nil
	l.Append(repeat('b', maxSegment))
	l.Append(repeat('c', maxSegment))
	got, _ := readAll(&slow)
	require.Len(t, got, minSegment+2*maxSegment)
	runtime.GC()
	freed.Wait() // hangs if something keeps it
	runtime.KeepAlive(&slow)
	runtime.KeepAlive(&l)
}

func TestACutCursorReadsWhatWasThereAndKeepsNothingThatComesLater(t *testing.T) {
	l := New(1 << 20)
	l.Append([]byte("read"))
	c := l.End()
	want := [][]byte{[]byte("a"), repeat('b', minSegment), {}, repeat('c', 2*minSegment), []byte("d")}
	for _, m := range want {
		l.Append(m)
	}
	c.Cut()
	l.Append([]byte("later, in the same segment"))

	later := make(chan struct{})
	l.Append(repeat('z', maxSegment))
	runtime.AddCleanup(l.tail, func(c chan struct{}) { close(c) }, later)
	l.Drop()
	runtime.GC()
	<-later // hangs if c keeps it

	require.EqualValues(t, len(want), rest(c))
	got, n := readAll(&c)
	require.Equal(t, bytes.Join(want, nil), got)
	require.Equal(t, len(want), n)
}

func TestACutCursorThatHasReadEverythingKeepsNothing(t *testing.T) {
	l := New(1 << 20)
	c := l.Append([]byte("a"))
	readAll(&c)
	c.Cut()
	require.Equal(t, Cursor{}, c)
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

func TestEndsTellWhereEachMessageOfAChunkEnds(t *testing.T) {
	l := New(1 << 20)
	l.Append([]byte("before the index")) // nobody who asks for ends reads this
	l.Index()
	l.Index()
	c := l.End()
	l.Append([]byte("a"))
	l.Append(nil)
	l.Append([]byte("bcd"))
	limit := maxIndexed
	read := func(c *Cursor) (messages []string) {
		for {
			chunk, ends := c.NextIndexed(limit, nil)
			if chunk.Messages == 0 {
				return messages
			}
			require.Len(t, ends, chunk.Messages)
			require.LessOrEqual(t, chunk.Messages, limit)
			require.EqualValues(t, len(chunk.Data)+indexEntry*chunk.Messages, chunk.Weight)
			start := 0
			for _, end := range ends {
				messages = append(messages, string(chunk.Data[start:end]))
				start = end
			}
			require.Equal(t, len(chunk.Data), start)
		}
	}
	for limit = 1; limit < 3; limit++ {
		some := c
		require.Equal(t, []string{"a", "", "bcd"}, read(&some), "%d at a time", limit)
	}
	require.Equal(t, []string{"a", "", "bcd"}, read(&c))
	l.Append([]byte("e"))
	cut := c
	cut.Cut()
	require.Equal(t, []string{"e"}, read(&c), "from the middle of a segment")
	l.Append(repeat('f', minSegment))
	require.Equal(t, []string{string(repeat('f', minSegment))}, read(&c))
	require.Equal(t, []string{"e"}, read(&cut))
}

func TestAnIndexedLogWeighsWhatItHolds(t *testing.T) {
	for _, size := range []int{0, 1, 4, 100, 40_000} {
		l := New(16 << 20)
		l.Index()
		first := l.Append(nil)
		for l.Head().Weight < 4<<20 {
			l.Append(make([]byte, size))
		}
		require.EqualValues(t, l.Head().Bytes+indexEntry*l.Head().Messages, l.Head().Weight)
		held, most := 0, 0
		for g := first.seg; g != nil; g = g.next.Load() {
			held += len(g.buf) + indexEntry*cap(g.ends)
			most = max(most, len(g.ends))
		}
		require.LessOrEqual(t, most, maxIndexed, "messages of %d bytes", size)
		require.Less(t, held, int(l.Head().Weight)*2+maxSegment, "messages of %d bytes", size)
		weight := int64(0)
		for chunk := first.Next(); chunk.Messages > 0; chunk = first.Next() {
			weight += chunk.Weight
		}
		require.Equal(t, l.Head().Weight, weight)
	}
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
				read := c.Next()
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
					t.Errorf("half a message behind %d", next)
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

// FuzzLog does what its bytes say, to a log and to a plain list of messages.
func FuzzLog(f *testing.F) {
	f.Add(uint16(1), []byte("aaaa\x00\x01\x02\x03"))
	f.Add(uint16(4096), []byte{0xff, 0xff, 0x80, 1, 0xfe, 2, 0xff, 3})
	f.Fuzz(func(t *testing.T, window uint16, ops []byte) {
		ops = ops[:min(len(ops), 256)]
		l := New(int(window))
		l.Index()
		var all [][]byte
		type reader struct {
			c          Cursor
			next, last int // last < 0: not cut
		}
		readers := []*reader{{last: -1}}
		check := func(r *reader, limit int) {
			chunk, ends := r.c.NextIndexed(1+limit, nil)
			n := chunk.Messages
			end := len(all)
			if r.last >= 0 {
				end = r.last
			}
			if n == 0 {
				require.Equal(t, end, r.next)
				return
			}
			require.LessOrEqual(t, r.next+n, end)
			require.LessOrEqual(t, n, 1+limit)
			require.Equal(t, string(bytes.Join(all[r.next:r.next+n], nil)), string(chunk.Data))
			at := 0
			for i, m := range all[r.next : r.next+n] {
				at += len(m)
				require.Equal(t, at, ends[i])
			}
			r.next += n
			messages, left := r.c.Rest()
			require.EqualValues(t, end-r.next, messages)
			require.EqualValues(t, len(bytes.Join(all[r.next:end], nil)), left)
		}
		for i, op := range ops {
			r := readers[i%len(readers)]
			switch op % 8 {
			case 0, 1, 2, 3:
				m := repeat(byte(i), int(op)*int(op)/8)
				before := l.Append(m)
				for _, r := range readers {
					if r.c == (Cursor{}) && r.last < 0 {
						r.c, r.next = before, len(all)
					}
				}
				all = append(all, m)
			case 4:
				if r.last >= 0 || r.c != (Cursor{}) {
					check(r, int(op))
				}
			case 5:
				readers = append(readers, &reader{l.End(), len(all), -1})
			case 6:
				if r.c != (Cursor{}) {
					r.c.Cut()
					if r.last < 0 {
						r.last = len(all)
					}
				}
			case 7:
				l.Drop()
				for _, r := range readers { // only a log that all have read is dropped
					if r.last < 0 {
						r.c = Cursor{}
					}
				}
			}
		}
	})
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
