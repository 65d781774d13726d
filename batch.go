package chanio

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync/atomic"
	"unsafe"

	"example.com/chanio/internal/buffer"
)

// A Batch is many messages in one value, in recycled memory. It is for programs
// with so many small messages that a channel operation and an allocation for
// each dominate their cost.
//
// A batch has one owner at a time. Whoever received it from RecvBatch or made
// it with NewBatch owns it until it is sent (SendBatch, PutBatch) or released.
// After that, neither the batch nor its messages may be touched. Under go test
// -race the memory of released batches is overwritten, so that a late use
// shows. An owner that does neither leaves the memory to the garbage collector,
// which is slower but never wrong.
//
// A Batch is not safe for concurrent use, except for Release. The zero Batch is
// empty and ready to use. A Batch must not be copied.
type Batch struct {
	owner atomic.Uint64 // 0: the user; else noOwner, or the ID of the session it was put to
	over  bool          // a message was refused because the index has no room for it
	batchMemory
}

// batchMemory is what a batch consists of.
type batchMemory struct {
	buf    *buffer.Buffer // the messages; nil while there is no memory
	used   int            // how much of buf is used
	size   int            // bytes of all messages
	codec  codec          // whose frames buf.B[:used] holds; nil: bare messages, one after the other
	mixed  bool           // buf.B[:used] is neither
	framed bool           // buf.B[:used] is frames for the session that the batch was put to
}

const (
	// noOwner is the owner of a batch that was sent or released.
	noOwner = math.MaxUint64
	// maxBatch bounds the memory of a batch: its index has 32 bits.
	maxBatch = min(math.MaxUint32, math.MaxInt)
	// leastRoom is the least capacity that AppendFunc offers.
	leastRoom = 512
)

// Why a batch is not taken. errBatchGone says that the user no longer owns it.
var (
	errNilBatch      = errors.New("chanio: a nil batch")
	errBatchGone     = errors.New("chanio: the batch was already sent or released")
	errBatchTooLarge = fmt.Errorf("%w: a batch of more than %d bytes", ErrMessageTooLarge, uint32(maxBatch))
)

// NewBatch returns an empty batch, to be filled and sent.
func NewBatch() *Batch { return new(Batch) }

// Len returns the number of messages.
func (b *Batch) Len() int {
	if b.buf == nil {
		return 0
	}
	return len(b.buf.Spans)
}

// Size returns the number of bytes of all messages together.
func (b *Batch) Size() int { return b.size }

// At returns message i, counted from 0, and panics if there is none. The slice
// is part of the batch's memory: it is valid until the batch is appended to,
// sent or released, and its capacity is its length.
func (b *Batch) At(i int) []byte {
	s := b.buf.Spans[i]
	return b.buf.B[s.Start:s.End:s.End]
}

// All yields the index and the slice of each message, as At returns it.
func (b *Batch) All() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for i := range b.Len() {
			if !yield(i, b.At(i)) {
				return
			}
		}
	}
}

// Append adds a copy of m as the last message. A batch that was sent or
// released ignores it. A batch of more than 4 GiB cannot be sent: see PutBatch.
func (b *Batch) Append(m []byte) {
	old, ok := b.reserve(len(m))
	if !ok {
		return
	}
	copy(b.buf.B[b.used:], m) // m may be one of the batch's own messages, in old
	b.added(len(m))
	free(old)
}

// AppendFunc adds the message that f builds. Like the Append functions of the
// standard library, f appends it to dst and returns the extended slice; dst is
// empty and has some spare capacity within the batch. f must not keep dst or
// use the batch. It is not called if the batch was sent or released.
func (b *Batch) AppendFunc(f func(dst []byte) []byte) {
	old, ok := b.reserve(leastRoom)
	if !ok {
		return
	}
	free(old)
	room := b.buf.B[b.used:b.used]
	m := f(room)
	if cap(m) > 0 && unsafe.SliceData(m) == unsafe.SliceData(room) {
		b.added(len(m))
		return
	}
	b.Append(m) // it outgrew the room, or is some other slice
}

// Release gives the batch's memory back, to be used again. Releasing a batch a
// second time, or one that was put to a session, has no effect. It is safe for
// concurrent use.
func (b *Batch) Release() {
	if b.owner.CompareAndSwap(0, noOwner) {
		b.recycle()
	}
}

// reserve makes room for n more bytes and reports whether the batch takes them.
// If the messages had to be moved, old is the memory to free.
func (b *Batch) reserve(n int) (old *buffer.Buffer, ok bool) {
	switch {
	case b.owner.Load() != 0 || b.over:
		return nil, false
	case uint64(b.used)+uint64(n) > maxBatch: // whatever room there is
		b.over = true
		return nil, false
	case b.buf == nil:
		b.buf = buffer.Get(n)
		return nil, true
	case n <= len(b.buf.B)-b.used:
		return nil, true
	}
	old = b.buf
	b.buf = buffer.Get(int(min(max(2*uint64(len(old.B)), uint64(b.used+n)), maxBatch)))
	copy(b.buf.B, old.B[:b.used])
	b.buf.Spans = append(slices.Grow(b.buf.Spans, len(old.Spans)+1), old.Spans...)
	return old, true
}

// free frees b, unless it is nil.
func free(b *buffer.Buffer) {
	if b != nil {
		b.Free()
	}
}

// added makes a message of the next n bytes of memory, which have been written.
func (b *Batch) added(n int) {
	b.mixed = b.mixed || b.codec != nil
	start := b.used
	b.used += n
	b.size += n
	b.buf.Spans = append(b.buf.Spans, buffer.Span{Start: uint32(start), End: uint32(b.used)})
}

// wire returns the batch as it goes over a stream framed by c (nil: a raw one),
// if the memory already has that form.
func (b *Batch) wire(c codec) ([]byte, bool) {
	switch {
	case b.framed:
		return b.buf.B[:b.used], true
	case b.mixed:
		return nil, false
	case b.buf == nil:
		return nil, true
	case b.codec != c: // codec is never a user's framing, so the two can be compared
		return nil, false
	}
	return b.buf.B[:b.used], true
}

// readable returns why b is not a batch of the user's that holds all that was added.
func (b *Batch) readable() error {
	switch {
	case b == nil:
		return errNilBatch
	case b.owner.Load() != 0:
		return errBatchGone
	case b.over:
		return errBatchTooLarge
	}
	return nil
}

// put hands b to the session id. It fails if the caller does not own b.
func (b *Batch) put(id ID) error {
	if b == nil {
		return errNilBatch
	}
	if !b.owner.CompareAndSwap(0, uint64(id)) {
		return errBatchGone
	}
	if b.over {
		b.unput()
		return errBatchTooLarge
	}
	return nil
}

// unput gives b back to the user.
func (b *Batch) unput() { b.owner.Store(0) }

// take makes the writer of session id the owner of b. It fails if b belongs to
// someone else.
func (b *Batch) take(id ID) error {
	if b == nil || !b.owner.CompareAndSwap(uint64(id), noOwner) {
		if err := b.put(id); err != nil {
			return err
		}
		b.owner.Store(noOwner)
	}
	return nil
}

// recycle gives the memory back. The caller has made sure that b has no owner.
func (b *Batch) recycle() {
	free(b.buf)
	b.batchMemory = batchMemory{}
}
