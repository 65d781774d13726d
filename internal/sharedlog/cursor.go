package sharedlog

// A Cursor is a position in a log. The zero Cursor reads nothing.
type Cursor struct {
	link     *link
	bytes    uint32 // read so far, in the link's segment
	messages uint32
}

// AnyNumber is the limit for a Next that takes everything contiguous.
const AnyNumber = maxMessages

// Next returns what was appended after the cursor: at most limit messages, or
// none if there is nothing. A limit below AnyNumber requires an indexed log.
// Next may run concurrently with Append.
func (c *Cursor) Next(limit uint32) Chunk {
	for c.link != nil {
		next := c.link.next.Load() // loaded before the fill: once sealed, the fill is final
		bytes, count := c.link.load()
		if count > c.messages { // empty messages count too
			return c.take(c.link.segment, bytes, count, limit)
		}
		if next == nil {
			break
		}
		if c.link.split == 0 {
			*c = Cursor{link: next, bytes: next.head}
			continue
		}
		chunk := first(c.link.segment, bytes)
		for ; next.through; next = next.next.Load() {
			chunk.add(next.segment)
		}
		chunk.add(next.segment)
		*c = Cursor{link: next, bytes: next.head}
		return chunk
	}
	return Chunk{}
}

// take returns the messages of g, in which c is, up to the count-th one, but at
// most limit of them.
func (c *Cursor) take(g *segment, bytes, count, limit uint32) Chunk {
	if count-c.messages > limit {
		count = c.messages + limit
		bytes = g.end(count - 1)
	}
	chunk := Chunk{
		Data:     g.buf[c.bytes:bytes:bytes],
		upTo:     g.buf[:bytes:bytes],
		Messages: int(count - c.messages),
		Bytes:    int(bytes - c.bytes),
		Weight:   int64(bytes - c.bytes),
	}
	if g.indexed {
		chunk.Weight += indexEntry * int64(chunk.Messages)
	}
	c.bytes, c.messages = bytes, count
	return chunk
}

// first returns the first piece of the message that g's end splits.
func first(g *segment, bytes uint32) Chunk {
	end := bytes + g.split
	return Chunk{Data: g.buf[bytes:end:end], Messages: 1, Bytes: int(g.split), Weight: weigh(int(g.split), g.indexed)}
}

// add adds the piece at the start of g to a message in pieces.
func (chunk *Chunk) add(g *segment) {
	chunk.More = append(chunk.More, g.buf[:g.head:g.head])
	chunk.Bytes += int(g.head)
	chunk.Weight += int64(g.head)
}

// Ends appends to dst the offset in chunk's data at which each message ends. c
// must have just returned chunk, in one piece, from an indexed log.
func (c *Cursor) Ends(dst []int, chunk Chunk) []int {
	return ends(dst, c.link.segment, chunk, c.bytes, c.messages)
}

func ends(dst []int, g *segment, chunk Chunk, bytes, messages uint32) []int {
	start := bytes - uint32(len(chunk.Data))
	for i := messages - uint32(chunk.Messages); i < messages; i++ {
		dst = append(dst, int(g.end(i)-start))
	}
	return dst
}

// Empty reports whether there is nothing after the cursor.
func (c *Cursor) Empty() bool {
	at := *c
	return at.Next(AnyNumber).Messages == 0
}

// Rest returns how much there is after the cursor.
func (c *Cursor) Rest() Position {
	var rest Position
	for at := *c; ; {
		chunk := at.Next(AnyNumber)
		if chunk.Messages == 0 {
			return rest
		}
		rest.Bytes += int64(chunk.Bytes)
		rest.Messages += int64(chunk.Messages)
		rest.Weight += chunk.Weight
	}
}
