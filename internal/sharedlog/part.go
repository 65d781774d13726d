package sharedlog

// A Part is the messages from a cursor to a fixed place; it holds no others. It
// is for one reader, which calls Release if it does not read to the end.
type Part struct {
	log      *Log
	at       *segment   // where its reader is; nil at the end
	segments []*segment // those after at
	bytes    uint32     // read so far, in at
	messages uint32
	end      uint32 // the bytes of its last segment that belong to it
	count    uint32 // the messages of its last segment that belong to it
	rest     Position
}

// partSize is about what a Part itself takes. It counts as kept, since a reader
// could have any number of them.
const partSize = 96

// Cut returns the part of the log from c to its end, or false if that is empty.
// Its cost is proportional to the number of segments.
func (l *Log) Cut(c Cursor) (Part, bool) {
	rest := c.Rest()
	if rest.Weight == 0 { // empty messages on a stream are nothing
		return Part{}, false
	}
	p := Part{log: l, at: c.link.segment, bytes: c.bytes, messages: c.messages, rest: rest}
	l.keep(p.at)
	last := c.link
	for next := last.next.Load(); next != nil; next = last.next.Load() {
		p.segments = append(p.segments, next.segment)
		l.keep(next.segment)
		last = next
	}
	p.end, p.count = last.load()
	l.kept.Add(partSize)
	return p, true
}

// keep records that one more Part holds g.
func (l *Log) keep(g *segment) {
	if g.parts.Add(1) == 1 {
		l.kept.Add(int64(len(g.buf)))
	}
}

// Rest returns how much of the part is left.
func (p *Part) Rest() Position { return p.rest }

// Segments returns how many segments the part holds.
func (p *Part) Segments() int {
	if p.at == nil {
		return 0
	}
	return 1 + len(p.segments)
}

// Release gives up the rest of the part.
func (p *Part) Release() {
	for p.at != nil {
		p.advance()
	}
	p.rest = Position{}
}

// Next is Cursor.Next, up to the end of the part.
func (p *Part) Next(limit uint32) Chunk {
	chunk := p.next(limit)
	p.rest.Bytes -= int64(chunk.Bytes)
	p.rest.Messages -= int64(chunk.Messages)
	p.rest.Weight -= chunk.Weight
	return chunk
}

func (p *Part) next(limit uint32) Chunk {
	for p.at != nil {
		bytes, count := p.filled()
		if count > p.messages {
			c := Cursor{bytes: p.bytes, messages: p.messages}
			chunk := c.take(p.at, bytes, count, limit)
			p.bytes, p.messages = c.bytes, c.messages
			return chunk
		}
		if p.at.split == 0 || len(p.segments) == 0 {
			p.advance()
			continue
		}
		chunk := first(p.at, bytes)
		for p.advance(); p.at.through; p.advance() {
			chunk.add(p.at)
		}
		chunk.add(p.at)
		return chunk
	}
	return Chunk{}
}

// Ends is Cursor.Ends.
func (p *Part) Ends(dst []int, chunk Chunk) []int {
	return ends(dst, p.at, chunk, p.bytes, p.messages)
}

// filled returns how much of the reader's segment belongs to the part.
func (p *Part) filled() (bytes, messages uint32) {
	if len(p.segments) == 0 {
		return p.end, p.count
	}
	return p.at.load()
}

// advance goes on to the next segment.
func (p *Part) advance() {
	if p.at.parts.Add(-1) == 0 {
		p.log.kept.Add(-int64(len(p.at.buf)))
	}
	if len(p.segments) == 0 {
		p.at = nil
		p.log.kept.Add(-partSize)
		return
	}
	p.at, p.segments = p.segments[0], p.segments[1:]
	p.bytes, p.messages = p.at.head, 0
}
