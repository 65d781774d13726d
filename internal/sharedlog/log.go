// Package sharedlog is the log that a hub's members share: messages are
// appended once and read by any number of readers, straight from the log's
// memory.
//
// The log is a list of segments, linked forward only. Nothing keeps a segment
// but the cursors in it and before it, so the garbage collector frees what the
// slowest reader has passed, and a log that all have read holds nothing. A
// reader that stops at a fixed place takes a [Part], which keeps the segments
// up to there and none after.
package sharedlog

import (
	"encoding/binary"
	"math"
	"sync/atomic"
)

const (
	// minSegment is the first segment's size. It is small because a program may
	// have ten thousand logs with an occasional message.
	minSegment = 512
	// MaxSegment is the size up to which segments grow. It is about one write:
	// a reader that stalls in the middle of a write keeps that segment and no
	// more.
	MaxSegment = 64 << 10
	// maxMessages is how many messages a segment counts: empty ones take no
	// room.
	maxMessages = math.MaxInt32
	// splitFrom is the fraction of a segment that is worth filling with the
	// beginning of a message that does not fit. Less stays unused, so small
	// messages are never split, and a log is at most 1/32 larger than its
	// messages.
	splitFrom = 32
	// indexEntry is the size of a message's entry in the index.
	indexEntry = 4
)

// A Position counts what was appended before a point in the log. Weight is the
// memory that the log holds for it: the bytes, and the entries of an index, so
// that with one even empty messages weigh something.
type Position struct{ Bytes, Messages, Weight int64 }

// A Chunk is what a reader takes at a time: whole messages that are contiguous
// in the log's memory, or one message in several pieces. That memory never
// changes.
type Chunk struct {
	Data     []byte   // the messages, or the first piece of one
	More     [][]byte // its other pieces
	Messages int
	Bytes    int
	Weight   int64 // as of a Position

	upTo []byte // the memory of the segment, as far as Data's end
}

// Join returns p and the chunk's Data as one, and true, if Data follows p in the
// log's memory.
func (chunk *Chunk) Join(p []byte) ([]byte, bool) {
	start := len(chunk.upTo) - len(chunk.Data) - len(p)
	if start < 0 || len(p) == 0 || &chunk.upTo[start] != &p[0] {
		return p, false
	}
	return chunk.upTo[start:], true
}

// A Log is append-only. Append, Index, Drop and methods that return a Cursor or
// a Part are for one goroutine at a time; readers may read meanwhile.
type Log struct {
	tail    *link
	head    Position
	kept    atomic.Int64 // bytes that Parts hold
	limit   uint16       // size of the largest segment, in minSegments
	size    uint16       // size of the next segment, in minSegments
	indexed bool         // segments record where messages end
}

// A link puts a segment into the list. A Part holds segments without their
// links, and so none of those that follow.
type link struct {
	*segment
	next atomic.Pointer[link] // storing it seals the segment
}

// A segment is a run of messages that fill buf from its start. An indexed one
// records where each message ends, from the end of buf downwards.
type segment struct {
	buf     []byte
	indexed bool
	head    uint32 // buf[:head] is part of a message that begins in an earlier segment
	through bool   // it is a middle part: the message continues in the next segment
	split   uint32 // this many bytes after the whole messages begin one that continues in the next segment; set before it is sealed

	// filled holds how much of buf may be read, in its upper half, and how many
	// whole messages that is, in its lower half. It is one value so that the
	// two are consistent. Storing it publishes the bytes.
	filled atomic.Uint64

	parts atomic.Int32 // how many Parts hold it
}

func (g *segment) load() (bytes, messages uint32) {
	f := g.filled.Load()
	return uint32(f >> 32), uint32(f)
}

func (g *segment) fill(bytes, messages uint32) {
	g.filled.Store(uint64(bytes)<<32 | uint64(messages))
}

// top returns where the free part of a segment with that many messages ends.
func (g *segment) top(messages uint32) int {
	if g.indexed {
		return len(g.buf) - indexEntry*int(messages)
	}
	return len(g.buf)
}

// entry returns the place of a message's index entry.
func (g *segment) entry(message uint32) []byte {
	return g.buf[len(g.buf)-indexEntry*int(message+1):][:indexEntry]
}

// end returns where a message ends, in an indexed segment.
func (g *segment) end(message uint32) uint32 {
	return binary.NativeEndian.Uint32(g.entry(message))
}

// weigh returns the weight of a message of n bytes.
func weigh(n int, indexed bool) int64 {
	if indexed {
		return int64(n) + indexEntry
	}
	return int64(n)
}

// New returns a log whose segments hold at most a quarter of window bytes.
func New(window int) Log {
	return Log{limit: uint16(min(max(window/4, minSegment), MaxSegment) / minSegment), size: 1}
}

// Head returns the position after the last message.
func (l *Log) Head() Position { return l.head }

// Weight returns the weight that a message of n bytes will have.
func (l *Log) Weight(n int) int64 { return weigh(n, l.indexed) }

// Kept returns how many bytes of memory Parts hold, or would hold if there were
// no other readers.
func (l *Log) Kept() int64 { return l.kept.Load() }

// Append copies message to the end of the log and returns a cursor just before
// it.
func (l *Log) Append(message []byte) Cursor {
	need := int(l.Weight(len(message)))
	g := l.tail
	if g == nil {
		g = l.grow(need)
	}
	bytes, messages := g.load()
	free := g.top(messages) - int(bytes)
	if free < need && free < len(g.buf)/splitFrom || messages == maxMessages {
		g = l.grow(need)
		bytes, messages = g.load()
		free = g.top(messages) - int(bytes)
	}
	l.head.Bytes += int64(len(message))
	l.head.Messages++
	l.head.Weight += int64(need)
	before := Cursor{g, bytes, messages}
	if free < need {
		l.split(message, bytes, free)
		return before
	}
	copy(g.buf[bytes:], message)
	end := bytes + uint32(len(message))
	if g.indexed {
		binary.NativeEndian.PutUint32(g.entry(messages), end)
	}
	g.fill(end, messages+1)
	return before
}

// split puts as much of message as fits into the last segment, and the rest
// into new ones. The message becomes readable, as a whole, when they are
// linked.
func (l *Log) split(message []byte, bytes uint32, free int) {
	first := l.tail
	n := copy(first.buf[bytes:int(bytes)+free], message)
	rest := message[n:] // may be empty if only the index entry does not fit
	var next, last *link
	for next == nil || len(rest) > 0 {
		g := l.newSegment(len(rest))
		head := copy(g.buf, rest)
		rest = rest[head:]
		g.head, g.through = uint32(head), len(rest) > 0
		g.fill(g.head, 0)
		if next == nil {
			next = g
		} else {
			last.next.Store(g)
		}
		last = g
	}
	first.split = uint32(n)
	first.next.Store(next)
	l.tail = last
}

// grow links a new segment whose first message has weight n.
func (l *Log) grow(n int) *link {
	g := l.newSegment(n)
	if l.tail != nil {
		l.tail.next.Store(g)
	}
	l.tail = g
	return g
}

// newSegment returns a segment that holds n bytes, or as many as a segment may.
// Segments grow while they are in use, and so follow the traffic.
func (l *Log) newSegment(n int) *link {
	if l.tail != nil {
		if used, _ := l.tail.load(); int(used) >= len(l.tail.buf)/2 {
			l.size = min(2*l.size, l.limit)
		} else {
			l.size = max(l.size/2, 1)
		}
	}
	for int(l.size)*minSegment < n && l.size < l.limit {
		l.size = min(2*l.size, l.limit)
	}
	return &link{segment: &segment{buf: make([]byte, int(l.size)*minSegment), indexed: l.indexed}}
}

// Drop forgets the last segment, which all readers have read; the log then
// holds nothing. When it grows again, it starts smaller.
func (l *Log) Drop() {
	l.tail = nil
	l.size = max(l.size/2, 1)
}

// End returns a cursor after the last message, or the zero Cursor if the log
// holds nothing.
func (l *Log) End() Cursor {
	if l.tail == nil {
		return Cursor{}
	}
	bytes, messages := l.tail.load()
	return Cursor{l.tail, bytes, messages}
}

// Index makes the log record where each message ends, starting with the next
// one, for readers that ask for it.
func (l *Log) Index() {
	if !l.indexed {
		l.indexed = true
		if l.tail != nil {
			l.grow(0) // an index covers whole segments
		}
	}
}
