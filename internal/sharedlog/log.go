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
	// minSegment is the first segment's size: small, because a program may have
	// ten thousand logs with a message now and then.
	minSegment = 512
	// MaxSegment is what segments grow to. It is about one write: a reader that
	// stalls in the middle of a write keeps that segment and no more.
	MaxSegment = 64 << 10
	// maxMessages is how many messages a segment counts: empty ones take no room.
	maxMessages = math.MaxInt32
	// splitFrom is the part of a segment that is worth filling with the
	// beginning of a message that does not fit. What is smaller stays unused, so
	// that small messages are never split and a log is at most 1/32 larger than
	// its messages.
	splitFrom = 32
	// indexEntry is the size of a message's entry in the index.
	indexEntry = 4
)

// A Position counts what was appended before a point in the log. Weight is what
// the log holds for it: the bytes, and the entries of an index, so that even
// empty messages weigh something there.
type Position struct{ Bytes, Messages, Weight int64 }

// A Chunk is what a reader takes at a time: whole messages that are contiguous
// in the log's memory, or one message in several pieces. That memory never
// changes.
type Chunk struct {
	Data     []byte   // the messages, or the first piece of one; what follows in memory may be the next ones
	More     [][]byte // its other pieces
	Messages int
	Bytes    int
	Weight   int64 // as of a Position
}

// A Log is append-only. Append, Index, Drop and what returns a Cursor or a Part
// is for one goroutine at a time; readers may read meanwhile.
type Log struct {
	tail    *link
	head    Position
	kept    atomic.Int64 // bytes that Parts hold
	limit   uint16       // of minSegment is the largest segment
	size    uint16       // of it is the next segment
	indexed bool         // segments record where messages end
}

// A link makes a segment one of the list. A Part holds segments without it, and
// so none that follows.
type link struct {
	*segment
	next atomic.Pointer[link] // storing it seals the segment
}

// A segment is a run of messages. They fill buf from its start. In an indexed
// one, where each message ends is recorded from the end of buf downwards.
type segment struct {
	buf     []byte
	indexed bool
	head    uint32 // buf[:head] is a part of a message that begins in an earlier segment
	through bool   // it is a middle part: the message goes on in the next segment
	split   uint32 // so many bytes after the whole messages begin one that goes on in the next segment; set before it is sealed

	// filled is how much of buf may be read, in its upper half, and how many
	// whole messages that is, in its lower: one value, so that both are of the
	// same moment. Storing it publishes the bytes.
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

// top is where the free part of a segment with so many messages ends.
func (g *segment) top(messages uint32) int {
	if g.indexed {
		return len(g.buf) - indexEntry*int(messages)
	}
	return len(g.buf)
}

// entry returns the place of a message's entry in the index.
func (g *segment) entry(message uint32) []byte {
	return g.buf[len(g.buf)-indexEntry*int(message+1):][:indexEntry]
}

// end returns where a message ends, in an indexed segment.
func (g *segment) end(message uint32) uint32 {
	return binary.NativeEndian.Uint32(g.entry(message))
}

// weigh returns what a message of n bytes weighs.
func weigh(n int, indexed bool) int64 {
	if indexed {
		return int64(n) + indexEntry
	}
	return int64(n)
}

// New returns a log whose segments hold a quarter of window bytes at most.
func New(window int) Log {
	return Log{limit: uint16(min(max(window/4, minSegment), MaxSegment) / minSegment), size: 1}
}

// Head returns the position after the last message.
func (l *Log) Head() Position { return l.head }

// Weight returns what a message of n bytes is going to weigh.
func (l *Log) Weight(n int) int64 { return weigh(n, l.indexed) }

// Kept returns how many bytes of memory Parts hold, and would hold if nobody
// else read the log.
func (l *Log) Kept() int64 { return l.kept.Load() }

// Append copies message to the end of the log and returns a cursor that stands
// before it.
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

// split puts as much of message as is free into the last segment, and the rest
// into new ones. The message can be read, as a whole, when they are linked.
func (l *Log) split(message []byte, bytes uint32, free int) {
	first := l.tail
	n := copy(first.buf[bytes:int(bytes)+free], message)
	rest := message[n:] // it may be nothing, where only an entry in the index has no room
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

// grow links a new segment that is for a message of weight n first.
func (l *Log) grow(n int) *link {
	g := l.newSegment(n)
	if l.tail != nil {
		l.tail.next.Store(g)
	}
	l.tail = g
	return g
}

// newSegment returns a segment that holds n bytes, or as many as a segment may.
// Segments become larger as long as they are used, so that they follow the
// traffic.
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

// Drop forgets the last segment, which all have read: the log holds nothing
// then. It is smaller when it grows again.
func (l *Log) Drop() {
	l.tail = nil
	l.size = max(l.size/2, 1)
}

// End returns a cursor after the last message. It is the zero Cursor if the log
// holds nothing.
func (l *Log) End() Cursor {
	if l.tail == nil {
		return Cursor{}
	}
	bytes, messages := l.tail.load()
	return Cursor{l.tail, bytes, messages}
}

// Index makes the log record where each message ends, from the next one on, for
// readers that ask for it.
func (l *Log) Index() {
	if !l.indexed {
		l.indexed = true
		if l.tail != nil {
			l.grow(0) // an index covers whole segments
		}
	}
}
