package sharedlog

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/memory"
)

// cut returns the part from c to the end of l, which is not empty.
func cut(t *testing.T, l *Log, c Cursor) *Part {
	t.Helper()
	p, some := l.Cut(c)
	require.True(t, some)
	return &p
}

// held returns how much memory the segments from first on take.
func held(first Cursor) (n int) {
	for g := first.link; g != nil; g = g.next.Load() {
		n += len(g.buf)
	}
	return n
}

func TestALogIsAtMostA32ndLargerThanWhatItsMessagesWeigh(t *testing.T) {
	random := make([]int, 1000)
	for i := range random {
		random[i] = rand.New(rand.NewPCG(uint64(i), 1)).IntN(100 << 10)
	}
	for _, sizes := range [][]int{
		{0, 1}, {1}, {100}, {1000}, {2047}, {2048}, {2049}, {20 << 10}, {22 << 10}, {32 << 10}, {33 << 10}, {MaxSegment - 1},
		{MaxSegment}, {MaxSegment + 1}, {1, 40 << 10}, {1, 70 << 10}, {20 << 10, 50 << 10}, {1, 1, 1, 31 << 10}, {1 << 20}, random,
	} {
		for _, indexed := range []bool{false, true} {
			l := New(16 << 20)
			if indexed {
				l.Index()
			}
			first := l.Append(nil)
			for i := 0; l.Head().Weight < int64(max(1<<19, 50*slices.Max(sizes))); i++ {
				l.Append(make([]byte, sizes[i%len(sizes)]))
			}
			require.Less(t, held(first), int(l.Head().Weight)*33/32+MaxSegment, "messages of %d bytes, indexed: %v", sizes[:min(4, len(sizes))], indexed)
			require.Equal(t, l.Head(), first.Rest())
		}
	}
}

func TestAPartReadsWhatWasThereAndKeepsNothingThatComesLater(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		l := New(1 << 20)
		if indexed {
			l.Index()
		}
		l.Append([]byte("read"))
		c := l.End()
		want := [][]byte{[]byte("a"), repeat('b', minSegment), {}, repeat('c', 5*MaxSegment), []byte("d")}
		for _, m := range want {
			l.Append(m)
		}
		p := cut(t, &l, c)
		require.Equal(t, c.Rest(), p.Rest())
		l.Append([]byte("later, in the same segment"))

		later := make(chan struct{})
		l.Append(repeat('z', MaxSegment))
		runtime.AddCleanup(l.tail.segment, func(c chan struct{}) { close(c) }, later)
		l.Drop()
		c = Cursor{}
		memory.AwaitCollected(t, later, 1) // p does not keep it

		require.EqualValues(t, len(want), p.Rest().Messages)
		require.Greater(t, l.Kept(), p.Rest().Bytes)
		var got []byte
		n := 0
		for chunk := p.Next(AnyNumber); chunk.Messages > 0; chunk = p.Next(AnyNumber) {
			got = append(got, whole(chunk)...)
			n += chunk.Messages
		}
		require.Equal(t, bytes.Join(want, nil), got)
		require.Equal(t, len(want), n)
		require.Zero(t, p.Rest())
		require.Zero(t, p.Segments())
		require.Zero(t, l.Kept())
	}
}

func TestPartsThatShareSegmentsKeepThemOnce(t *testing.T) {
	l := New(1 << 20)
	first := l.Append(make([]byte, 4*MaxSegment))
	var parts []*Part
	for range 100 {
		parts = append(parts, cut(t, &l, first))
	}
	require.LessOrEqual(t, l.Kept(), int64(held(first)+100*partSize))
	for _, p := range parts {
		p.Release()
		p.Release()
	}
	require.Zero(t, l.Kept())
}

func TestThereIsNothingToCutAtTheEndOfALog(t *testing.T) {
	l := New(1 << 20)
	c := l.Append([]byte("a"))
	readAll(&c)
	_, some := l.Cut(c)
	require.False(t, some)
	require.Zero(t, l.Kept())
}

func TestEndsTellWhereEachMessageOfAChunkEnds(t *testing.T) {
	l := New(1 << 20)
	l.Append([]byte("before the index")) // no reader that asks for ends reads this
	l.Index()
	l.Index()
	c := l.End()
	l.Append([]byte("a"))
	l.Append(nil)
	l.Append([]byte("bcd"))
	type reader interface {
		Next(limit uint32) Chunk
		Ends(dst []int, chunk Chunk) []int
	}
	read := func(r reader, limit uint32) (messages []string) {
		for {
			chunk := r.Next(limit)
			if chunk.Messages == 0 {
				return messages
			}
			require.EqualValues(t, chunk.Bytes+indexEntry*chunk.Messages, chunk.Weight)
			if chunk.More != nil {
				require.Equal(t, 1, chunk.Messages)
				messages = append(messages, string(whole(chunk)))
				continue
			}
			ends := r.Ends(nil, chunk)
			require.Len(t, ends, chunk.Messages)
			require.LessOrEqual(t, uint32(chunk.Messages), limit)
			start := 0
			for _, end := range ends {
				messages = append(messages, string(chunk.Data[start:end]))
				start = end
			}
			require.Equal(t, len(chunk.Data), start)
		}
	}
	for limit := uint32(1); limit < 4; limit++ {
		some := c
		require.Equal(t, []string{"a", "", "bcd"}, read(&some, limit), "%d at a time", limit)
		require.Equal(t, []string{"a", "", "bcd"}, read(cut(t, &l, c), limit), "%d at a time", limit)
	}
	require.Equal(t, []string{"a", "", "bcd"}, read(&c, AnyNumber))
	l.Append([]byte("e"))
	p := cut(t, &l, c)
	require.Equal(t, []string{"e"}, read(&c, 2), "from the middle of a segment")
	l.Append(repeat('f', minSegment))
	l.Append([]byte("g"))
	require.Equal(t, []string{string(repeat('f', minSegment)), "g"}, read(&c, 2))
	require.Equal(t, []string{"e"}, read(p, 2))
}

// A fuzzReader reads a log, or a part of it, and knows what is in it.
type fuzzReader struct {
	c    Cursor
	p    *Part // nil: it reads by c
	next int   // the first message that it has not read
	last int   // of its part
}

// FuzzLog does what its bytes say, on a log and on a plain list of messages.
func FuzzLog(f *testing.F) {
	f.Add(uint16(1), []byte("aaaa\x00\x01\x02\x03"))
	f.Add(uint16(4096), []byte{0xff, 0xff, 0x80, 1, 0xfe, 2, 0xff, 3})
	f.Fuzz(func(t *testing.T, window uint16, ops []byte) {
		l := New(int(window))
		l.Index()
		var all [][]byte
		readers := []*fuzzReader{{}}
		for i, op := range ops[:min(len(ops), 256)] {
			r := readers[i%len(readers)]
			switch op % 8 {
			case 0, 1, 2, 3:
				m := repeat(byte(i), int(op)*int(op)/8)
				before := l.Append(m)
				for _, r := range readers {
					if r.c == (Cursor{}) && r.p == nil {
						r.c, r.next = before, len(all)
					}
				}
				all = append(all, m)
			case 4:
				r.check(t, all, uint32(op))
			case 5:
				readers = append(readers, &fuzzReader{c: l.End(), next: len(all)})
			case 6:
				if p, some := l.Cut(r.c); some && r.p == nil {
					readers = append(readers, &fuzzReader{p: &p, next: r.next, last: len(all)})
				} else if some {
					p.Release()
				}
			case 7:
				l.Drop()
				for _, r := range readers { // only a log that all have read is dropped
					r.c = Cursor{}
				}
			}
		}
		for _, r := range readers {
			if r.p != nil {
				r.p.Release()
			}
		}
		require.Zero(t, l.Kept())
	})
}

// check makes r read a chunk.
func (r *fuzzReader) check(t *testing.T, all [][]byte, limit uint32) {
	var chunk Chunk
	var ends []int
	end := len(all)
	if r.p != nil {
		end = r.last
		if chunk = r.p.Next(1 + limit); chunk.Messages > 0 && chunk.More == nil {
			ends = r.p.Ends(nil, chunk)
		}
	} else if r.c == (Cursor{}) {
		return
	} else if chunk = r.c.Next(1 + limit); chunk.Messages > 0 && chunk.More == nil {
		ends = r.c.Ends(nil, chunk)
	}
	n := chunk.Messages
	if n == 0 {
		require.Equal(t, end, r.next)
		return
	}
	require.LessOrEqual(t, r.next+n, end)
	require.LessOrEqual(t, uint32(n), 1+limit)
	require.Equal(t, string(bytes.Join(all[r.next:r.next+n], nil)), string(whole(chunk)))
	require.EqualValues(t, chunk.Bytes+indexEntry*n, chunk.Weight)
	at := 0
	for i, end := range ends {
		at += len(all[r.next+i])
		require.Equal(t, at, end)
	}
	r.next += n
	rest := r.c.Rest()
	if r.p != nil {
		rest = r.p.Rest()
	}
	require.EqualValues(t, end-r.next, rest.Messages)
	require.EqualValues(t, len(bytes.Join(all[r.next:end], nil)), rest.Bytes)
}

func TestAMessageThatIsSplitIsReadWhole(t *testing.T) {
	for _, size := range []int{minSegment, MaxSegment/2 + 1, MaxSegment, 3*MaxSegment + 17} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			l := New(1 << 20)
			c := l.Append([]byte("first"))
			for i := range 50 {
				l.Append(repeat(byte(i), size))
			}
			require.Equal(t, "first", string(whole(c.Next(AnyNumber))))
			i := 0
			for chunk := c.Next(AnyNumber); chunk.Messages > 0; chunk = c.Next(AnyNumber) {
				for m := whole(chunk); len(m) > 0; m = m[size:] {
					require.Equal(t, repeat(byte(i), size), m[:size])
					i++
				}
			}
			require.Equal(t, 50, i)
		})
	}
}
