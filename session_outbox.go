package chanio

import (
	"slices"
	"sync"
	"sync/atomic"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sharedlog"
)

// copyLimit is the size up to which messages are coalesced into one buffer;
// larger ones are written from where they are. Copying 4 KiB costs less than one
// more entry in a gathered write.
const copyLimit = 4 << 10

// aloneLimit is the size up to which even a message that goes out alone is
// copied. Memory that was just written goes out faster (internal/sock), which
// outweighs so short a copy.
const aloneLimit = 1 << 10

// wrapLimit is the size above which a framed message is not copied into its frame.
// Up to 64 KiB the copy costs less than it saves: memory that was just written goes
// out faster.
const wrapLimit = blockSize

// wrappedParts is how many parts such a message has at most.
const wrappedParts = 3

// maxParts bounds the entries of a gathered write. It is well below the kernel's
// IOV_MAX (1,024), and large enough that the write call itself costs next to
// nothing.
const maxParts = 64

// An outBatch is what the writer hands to the transport as one write: messages
// from any source, whole and in order. The zero value is empty.
type outBatch struct {
	parts    [][]byte       // what is still to go out; small messages share a part, within buf
	buf      *buffer.Buffer // where small messages are coalesced; nil until needed
	used     int            // bytes of buf in use
	open     bool           // the last part is the end of the used part of buf
	size     int            // bytes of all that was added
	shared   int            // bytes of size that are hubs'
	sent     int            // bytes of size that the kernel has taken
	messages int
	owned    []*Batch // batches whose memory is in parts; recycled with them

	chunks []hubChunk // which bytes are hubs', on a stream

	datagrams *outDatagrams // nil unless each message is a part of its own, sent by itself
}

// writerState is the state of the writing. Only the holder of the turn may touch
// the fields that follow it.
type writerState struct {
	// Made by needWriter, under mu, before there is a writer.
	send      chan []byte   // received by the writer; only the user may close it
	sendBatch chan *Batch   // received by the writer; only the user may close it
	wake      chan struct{} // one slot: makes the writer look at its sources again

	queued atomic.Int64 // messages and batches that Puts have queued or written, ever

	turn    sync.Mutex // see session_turn.go
	batch   outBatch
	batches batchQueue
	taken   int64 // messages received from send, ever
	closed  bool  // the user has closed send
	gone    bool  // the writer has ended
	last    bool  // no more messages are accepted
	left    int   // if last: how many messages in send are yet to be received
	bad     error // the error of a message that can't be framed; what was accepted before it is still sent
	hubs    hubReader
}

func newWriterState(s *Session) *writerState {
	o := new(writerState)
	if s.traits.messages {
		o.batch.datagrams = new(outDatagrams)
	}
	return o
}

// fresh reports whether the library itself has just written all of the batch's
// memory. A hub's log counts as such up to the size that would otherwise be
// copied.
func (b *outBatch) fresh() bool {
	return b.used == b.size || b.shared == b.size && b.size <= aloneLimit
}

// empty reports whether nothing was added. A batch of empty messages on a raw
// stream is not empty, but writes nothing.
func (b *outBatch) empty() bool { return b.messages == 0 && b.size == 0 }

// full reports whether the batch is large enough to be written: nothing more may
// be added.
func (b *outBatch) full() bool {
	if b.datagrams != nil {
		return len(b.parts) >= maxPackets
	}
	return b.size >= blockSize || len(b.parts) > maxParts-wrappedParts
}

// add adds a message, framed by f unless f is nil. A batch keeps messages in the
// order in which they were added.
func (b *outBatch) add(m []byte, f Framing) error {
	if b.datagrams != nil {
		b.addDatagram(m)
		b.own(nil)
		return nil
	}
	if f != nil {
		return b.addFramed(m, f)
	}
	if len(m) > 0 { // an empty message is nothing on a raw stream
		b.messages++
		b.addBytes(m)
	}
	return nil
}

// A hubChunk says where in a batch a chunk of a hub's messages is.
type hubChunk struct {
	m        *member
	start    int // bytes of the batch before it
	bytes    int
	messages int
}

// addChunk adds messages that are framed already.
func (b *outBatch) addChunk(chunk []byte, messages int) {
	b.messages += messages
	if len(chunk) > 0 {
		b.addBytes(chunk)
	}
}

// addHubChunk adds a chunk of m's messages, which are framed already.
func (b *outBatch) addHubChunk(m *member, chunk sharedlog.Chunk) {
	if b.datagrams != nil {
		b.addDatagrams(m, chunk)
		return
	}
	b.messages += chunk.Messages
	b.chunks = append(b.chunks, hubChunk{m, b.size, chunk.Bytes, chunk.Messages})
	b.shared += chunk.Bytes
	if p := chunk.Data; len(p) > 0 && !b.extend(&chunk) {
		b.addShared(p)
	}
	for _, p := range chunk.More { // pieces of one large message
		b.addPart(p)
		b.size += len(p)
	}
}

// extend extends the last part by the chunk if the chunk follows it in memory. It
// reports whether it did.
func (b *outBatch) extend(chunk *sharedlog.Chunk) bool {
	if len(b.parts) == 0 {
		return false
	}
	last := &b.parts[len(b.parts)-1]
	joined, ok := chunk.Join(*last)
	if ok {
		*last = joined
		b.size += len(chunk.Data)
	}
	return ok
}

// addShared adds p, from a hub's log. It copies p only if p is short and does
// not go out alone: thousands of members may be waiting with the same bytes.
func (b *outBatch) addShared(p []byte) {
	if len(p) <= aloneLimit && len(b.parts) > 0 && (len(b.parts) > 1 || len(b.parts[0]) <= aloneLimit) {
		b.addBytes(p)
		return
	}
	b.size += len(p)
	b.addPart(p)
}

// addBytes adds p without framing.
func (b *outBatch) addBytes(p []byte) {
	b.size += len(p)
	if len(b.parts) == 0 {
		if len(p) <= aloneLimit {
			b.copyIn(p)
		} else {
			b.addPart(p) // alone, it needs no copy
		}
		return
	}
	if len(p) > copyLimit {
		b.addPart(p)
		return
	}
	if len(b.parts) == 1 && b.used == 0 && len(b.parts[0]) <= copyLimit {
		first := b.parts[0]
		b.parts = b.parts[:0]
		b.copyIn(first)
	}
	b.copyIn(p)
}

// addFramed frames m into buf. If m is large it goes out from where it is, or
// into separate memory if the framing does not say what it adds.
func (b *outBatch) addFramed(m []byte, f Framing) error {
	if w, ok := f.(wrapping); ok && len(m) > wrapLimit {
		return b.addWrapped(m, w)
	}
	room := b.room(len(m) + frameOverhead)
	framed, err := f.AppendFrame(room, m)
	if err != nil || len(framed) == 0 {
		return err
	}
	b.messages++
	b.size += len(framed)
	if len(framed) <= cap(room) && &framed[0] == &room[:1][0] {
		b.claim(framed)
		return nil
	}
	b.addPart(framed)
	return nil
}

// addWrapped adds m without copying it, between what f puts around it.
func (b *outBatch) addWrapped(m []byte, f wrapping) error {
	before, after, err := f.around(m)
	if err != nil {
		return err
	}
	b.messages++
	b.size += len(before) + len(m) + len(after)
	if len(before) > 0 {
		b.copyIn(before)
	}
	b.addPart(m)
	if len(after) > 0 {
		b.copyIn(after)
	}
	return nil
}

// addPart adds p without copying it.
func (b *outBatch) addPart(p []byte) {
	b.parts = append(b.parts, p)
	b.open = false
}

// copyIn copies p to the end of buf.
func (b *outBatch) copyIn(p []byte) {
	room := b.room(len(p))
	if cap(room) < len(p) {
		b.addPart(p) // buf is used up; full prevents that for all but the last message
		return
	}
	b.claim(append(room, p...))
}

// room returns the rest of buf, with length 0 and, if possible, room for n
// bytes.
func (b *outBatch) room(n int) []byte {
	switch {
	case b.buf == nil && n <= buffer.Small:
		b.buf = buffer.Get(buffer.Small)
	case b.buf == nil:
		b.buf = buffer.Get(blockSize)
	case b.small() && b.used+n > len(b.buf.B) && b.replaceable():
		b.grow()
	}
	return b.buf.B[b.used:b.used]
}

// small reports whether buf is the small buffer that a batch begins with. A
// session whose peer takes nothing therefore holds no large buffer for a message
// or two.
func (b *outBatch) small() bool { return b.buf != nil && len(b.buf.B) < blockSize }

// replaceable reports whether buf is unused, or all of its used part is the only
// part.
func (b *outBatch) replaceable() bool {
	return b.used == 0 || b.open && len(b.parts) == 1 && len(b.parts[0]) == b.used
}

// grow replaces the small buf, which is replaceable, by a large one.
func (b *outBatch) grow() {
	small := b.buf
	b.buf = buffer.Get(blockSize)
	if b.used > 0 {
		copy(b.buf.B, small.B[:b.used])
		b.parts[0] = b.buf.B[:b.used:len(b.buf.B)]
	}
	small.Free()
}

// claim adds p, which was written to the start of room, to the batch.
func (b *outBatch) claim(p []byte) {
	start := b.used
	b.used += len(p)
	if b.open {
		last := &b.parts[len(b.parts)-1]
		*last = (*last)[:len(*last)+len(p)]
		return
	}
	b.parts = append(b.parts, b.buf.B[start:b.used:len(b.buf.B)])
	b.open = true
}

// taken drops the first n bytes of parts, which the kernel has taken or which are
// sealed in records. What is added later begins a part of its own.
func (b *outBatch) taken(n int) {
	whole := 0
	for whole < len(b.parts) && n >= len(b.parts[whole]) {
		n -= len(b.parts[whole])
		whole++
	}
	b.parts = slices.Delete(b.parts, 0, whole)
	if n > 0 {
		b.parts[0] = b.parts[0][n:]
	}
	b.open = false
}

// reset empties the batch and keeps its memory for the next one.
func (b *outBatch) reset() {
	clear(b.parts) // or it would retain the messages
	b.parts = b.parts[:0]
	clear(b.chunks)
	b.chunks = b.chunks[:0]
	b.used, b.open, b.size, b.shared, b.sent, b.messages = 0, false, 0, 0, 0, 0
	for _, o := range b.owned {
		o.recycle()
	}
	clear(b.owned)
	b.owned = b.owned[:0]
	if b.datagrams != nil {
		b.datagrams.reset()
	}
}

// free releases the memory of an empty batch before the writer parks.
func (b *outBatch) free() {
	if b.buf != nil {
		b.buf.Free()
		b.buf = nil
	}
	if cap(b.parts) > 4 {
		b.parts = nil
	}
	if cap(b.chunks) > 1 {
		b.chunks = nil
	}
	if b.datagrams != nil {
		b.datagrams.free()
	}
}
