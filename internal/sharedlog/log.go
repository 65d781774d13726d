// Package sharedlog is the log that a hub's members share: messages are
// appended once and read by any number of cursors, straight from the log's
// memory.
//
// The log is a list of segments, linked forward only. Nothing keeps a segment
// but the cursors in it and before it, so the garbage collector frees what the
// slowest reader has passed, and a log that all have read holds nothing.
package sharedlog

import (
	"math"
	"sync/atomic"
)

const (
	// minSegment is the first segment's size: small, because a program may have
	// ten thousand logs with a message now and then.
	minSegment = 512
	// maxSegment is what segments grow to. It is about one write: a reader that
	// stalls in the middle of a write keeps that segment and no more.
	maxSegment = 64 << 10
	// maxMessages is how many messages a segment counts: empty ones take no room.
	maxMessages = math.MaxInt32
	// maxIndexed is how many it does in an indexed log, so that what a reader
	// keeps of the index is bounded too.
	maxIndexed = 4096
	// indexEntry is the size of a message's entry in the index.
	indexEntry = 4
)

// A Position counts what was appended before a point in the log. Weight is what
// the log holds for it: the bytes, and the entries of an index, so that even
// empty messages weigh something there.
type Position struct{ Bytes, Messages, Weight int64 }

// A Chunk is whole messages, contiguous in the log's memory, which never
// changes.
type Chunk struct {
	Data     []byte
	Messages int
	Weight   int64 // as of a Position
}

// A Log is append-only. Appending and all else but Cursor.Next is for one
// goroutine at a time; cursors may read meanwhile.
type Log struct {
	tail    *segment
	head    Position
	limit   uint16 // of minSegment is the largest segment, unless a message is larger
	size    uint16 // of it is the next segment
	indexed bool   // segments record where messages end
}

// segment is a run of whole messages.
type segment struct {
	buf  []byte // of full capacity; written up to filled
	next atomic.Pointer[segment]

	// filled is how much of buf may be read, in its upper half, and how many
	// messages that is, in its lower: one value, so that both are of the same
	// moment. Storing it publishes the bytes; storing next seals it.
	filled atomic.Uint64

	indexed bool
	ends    []uint32 // if indexed: where each message ends
}

func (g *segment) load() (bytes, messages uint32) {
	f := g.filled.Load()
	return uint32(f >> 32), uint32(f)
}

func (g *segment) fill(bytes, messages uint32) {
	g.filled.Store(uint64(bytes)<<32 | uint64(messages))
}

// hasRoom reports whether a message of n bytes fits.
func (g *segment) hasRoom(n int) bool {
	bytes, messages := g.load()
	limit := uint32(maxMessages)
	if g.indexed {
		limit = maxIndexed
	}
	return len(g.buf)-int(bytes) >= n && messages < limit
}

// weight returns what messages of so many bytes weigh in g.
func (g *segment) weight(messages, bytes uint32) int64 {
	if g.indexed {
		return int64(bytes) + indexEntry*int64(messages)
	}
	return int64(bytes)
}

// New returns a log whose segments hold a quarter of window bytes at most.
func New(window int) Log {
	return Log{limit: uint16(min(max(window/4, minSegment), maxSegment) / minSegment), size: 1}
}

// Head returns the position behind the last message.
func (l *Log) Head() Position { return l.head }

// Weight returns what a message of n bytes is going to weigh.
func (l *Log) Weight(n int) int64 {
	if l.indexed {
		return int64(n) + indexEntry
	}
	return int64(n)
}

// Append copies message to the end of the log and returns a cursor that stands
// before it.
func (l *Log) Append(message []byte) Cursor {
	g := l.tail
	if g == nil || !g.hasRoom(len(message)) {
		g = l.grow(len(message))
	}
	bytes, messages := g.load()
	copy(g.buf[bytes:], message)
	end := bytes + uint32(len(message))
	if g.indexed {
		g.ends = append(g.ends, end)
	}
	l.head.Bytes += int64(len(message))
	l.head.Messages++
	l.head.Weight += l.Weight(len(message))
	g.fill(end, messages+1)
	return Cursor{g, bytes, messages}
}

// grow links a new segment with room for n bytes. Segments become larger as long
// as they are used, so that they follow the traffic; a message of which no two
// would fit has one of its own size, so that little is wasted.
func (l *Log) grow(n int) *segment {
	size := int(l.size) * minSegment
	if n > size || n > int(l.limit)*minSegment/2 {
		size = n
	}
	g := &segment{buf: make([]byte, size), indexed: l.indexed}
	if l.tail != nil {
		if used, _ := l.tail.load(); int(used) >= len(l.tail.buf)/2 {
			l.size = min(2*l.size, l.limit)
		} else {
			l.size = max(l.size/2, 1)
		}
		l.tail.next.Store(g)
	}
	l.tail = g
	return g
}

// Drop forgets the last segment, which all have read: the log holds nothing
// then. It is smaller when it grows again.
func (l *Log) Drop() {
	l.tail = nil
	l.size = max(l.size/2, 1)
}

// End returns a cursor behind the last message. It is the zero Cursor if the
// log holds nothing.
func (l *Log) End() Cursor {
	if l.tail == nil {
		return Cursor{}
	}
	bytes, messages := l.tail.load()
	return Cursor{l.tail, bytes, messages}
}

// Index makes the log record where each message ends, from the next one on, for
// NextIndexed of cursors that stand at its end or behind it.
func (l *Log) Index() {
	if !l.indexed {
		l.indexed = true
		if l.tail != nil {
			l.grow(0) // an index covers whole segments
		}
	}
}

// A Cursor is a place in a log. The zero Cursor reads nothing.
type Cursor struct {
	seg      *segment
	bytes    uint32 // read so far, in seg
	messages uint32
}

// Next returns what was appended behind the cursor and is contiguous; no messages
// if there is nothing. It is safe beside Append.
func (c *Cursor) Next() Chunk { return c.next(maxMessages) }

// NextIndexed is Next of limit messages at most, in a log that is indexed. It
// appends to ends where each of them ends, counted from the first one's
// beginning. Unlike Next it is not safe beside Append.
func (c *Cursor) NextIndexed(limit int, ends []int) (Chunk, []int) {
	chunk := c.next(uint32(limit))
	last := c.messages
	start := c.bytes - uint32(len(chunk.Data))
	for i := last - uint32(chunk.Messages); i < last; i++ {
		ends = append(ends, int(c.seg.ends[i]-start))
	}
	return chunk, ends
}

// next is Next of limit messages at most, which is for indexed logs to choose.
func (c *Cursor) next(limit uint32) Chunk {
	for c.seg != nil {
		next := c.seg.next.Load() // before filled: once sealed, that is final
		bytes, count := c.seg.load()
		if count > c.messages { // empty messages count too
			if count-c.messages > limit {
				count = c.messages + limit
				bytes = c.seg.ends[count-1]
			}
			chunk := Chunk{
				Data:     c.seg.buf[c.bytes:bytes:bytes],
				Messages: int(count - c.messages),
				Weight:   c.seg.weight(count-c.messages, bytes-c.bytes),
			}
			c.bytes, c.messages = bytes, count
			return chunk
		}
		if next == nil {
			break
		}
		*c = Cursor{seg: next}
	}
	return Chunk{}
}

// Rest returns how many messages there are behind the cursor, and of how many
// bytes.
func (c *Cursor) Rest() (messages, bytes int64) {
	read := *c
	for g := c.seg; g != nil; g = g.next.Load() {
		filled, count := g.load()
		messages += int64(count - read.messages)
		bytes += int64(filled - read.bytes)
		read = Cursor{}
	}
	return messages, bytes
}

// Cut makes what there is behind the cursor, and no more, a log of the cursor's
// own, which shares the messages' memory: what is appended later is neither
// read nor kept by it. Cut is not safe beside Append.
func (c *Cursor) Cut() {
	if messages, _ := c.Rest(); messages == 0 {
		*c = Cursor{}
		return
	}
	var last *segment
	for g := c.seg; g != nil; g = g.next.Load() {
		own := &segment{buf: g.buf, indexed: g.indexed, ends: g.ends}
		own.fill(g.load())
		if last == nil {
			c.seg = own
		} else {
			last.next.Store(own)
		}
		last = own
	}
}
