package chanio

import "example.com/chanio/internal/buffer"

// SendBatch returns the channel of batches to the peer, whose messages are sent
// in order. It buffers one batch, or none if Options.SendQueue is negative, and
// blocks when the peer reads less than is sent. A batch belongs to the library
// once sent.
//
// Batches keep their order, and so do messages from Send and Put, but there is
// no order between the two. The contract of Send applies, including closing by
// the user. Sending a batch that was already sent or released ends the session
// with an error; PutBatch returns it instead.
func (s *Session) SendBatch() chan<- *Batch {
	s.bare.Store(true)
	return s.needWriter().sendBatch
}

// PutBatch sends b like SendBatch, and b belongs to the library from then on.
// It waits for room as long as the session makes progress. If it returns an
// error, nothing was accepted and the caller still owns b. The error is
// ErrClosed once the session has ended or was closed for writing, the framing's
// error for a message that cannot be framed, ErrMessageTooLarge for a batch of
// more than 4 GiB, or one that says that b was already sent or released.
func (s *Session) PutBatch(b *Batch) error {
	if !s.puts.enter() {
		return s.errorAt("write", ErrClosed)
	}
	defer func() {
		if s.puts.leave() {
			s.putsGone()
		}
	}()
	if err := b.put(s.id); err != nil {
		return s.errorAt("write", err)
	}
	out, err := s.framedBatch(b)
	if err == nil {
		err = s.putBatch(out)
	}
	if out != b && out != nil {
		if err != nil {
			out.recycle()
		} else {
			b.recycle()
			b.owner.Store(noOwner)
		}
	}
	if err != nil {
		b.unput()
		return s.errorAt("write", err)
	}
	return nil
}

// putBatch writes b, or leaves it to the writer.
func (s *Session) putBatch(b *Batch) error {
	if o := s.takeTurn(); o != nil {
		s.acceptBatch(o, b, true)
		s.writeNow(o)
		return nil
	}
	o := s.needWriter()
	return queue(s, o, o.sendBatch, b, nil)
}

// framedBatch returns b as it goes to the session's writer: b itself or its
// frames. The caller of PutBatch thus does the framing and learns of a message
// that can't be framed.
func (s *Session) framedBatch(b *Batch) (*Batch, error) {
	if s.traits.messages {
		for _, m := range b.All() {
			if err := s.checkSize(len(m)); err != nil {
				return nil, err
			}
		}
	}
	codec := s.set.codec
	if _, ok := b.wire(codec); ok || codec == nil {
		return b, nil
	}
	out := &Batch{batchMemory: batchMemory{framed: true}}
	out.owner.Store(uint64(s.id))
	out.buf = buffer.Get(b.size + b.Len()*frameOverhead)
	for _, m := range b.All() {
		if err := out.appendFrame(codec, m); err != nil {
			out.recycle()
			return nil, err
		}
	}
	return out, nil
}

// frameOverhead is how many bytes a frame is likely to add to its message.
const frameOverhead = 8

// appendFrame adds m, framed by f.
func (b *Batch) appendFrame(f Framing, m []byte) error {
	// Not to all of b, as a framing might return its frame alone.
	room := b.buf.B[b.used:b.used]
	frame, err := f.AppendFrame(room, m)
	if err != nil {
		return err
	}
	whole := b.used + len(frame)
	if whole > maxBatch {
		return tooLarge(uint64(whole), maxBatch)
	}
	if whole > len(b.buf.B) { // append has reallocated
		old := b.buf
		b.buf = buffer.Get(2 * whole)
		copy(b.buf.B, old.B[:b.used])
		b.buf.Spans = append(b.buf.Spans, old.Spans...)
		defer old.Free()
	}
	copy(b.buf.B[b.used:], frame) // nothing moves if it is there already
	b.added(len(frame))
	return nil
}

// batchQueue is the writer's state of SendBatch and PutBatch.
type batchQueue struct {
	rest   *Batch // the batch taken from sendBatch and not yet wholly in the outbox; nil if none
	next   int    // the first message of rest that is not in the outbox
	size   int    // bytes of rest that are not in the outbox
	taken  int64  // batches that were taken whole, ever
	closed bool   // the user has closed sendBatch
	left   int    // if last: how many batches are yet to be received
	first  bool   // batches come before messages this time
}

// receivesBatches reports whether the writer still receives from sendBatch.
func (s *Session) receivesBatches(o *writerState) bool {
	return !o.batches.closed && o.bad == nil && (!o.last || o.batches.left > 0)
}

// gatherBatches adds batches to the outbox while there is room.
func (s *Session) gatherBatches(o *writerState) {
	for !o.batch.full() && o.bad == nil {
		if o.batches.rest != nil {
			o.bad = s.gatherRest(o)
			continue
		}
		if !s.receivesBatches(o) {
			return
		}
		select {
		case b, ok := <-o.sendBatch:
			s.acceptBatch(o, b, ok)
		default:
			return
		}
	}
}

// acceptBatch is accept for b, which was received from sendBatch.
func (s *Session) acceptBatch(o *writerState, b *Batch, ok bool) {
	s.framed.gather(&o.batch)
	q := &o.batches
	if !ok {
		q.closed = true
		s.closeOutput()
		return
	}
	if o.last {
		q.left--
	}
	s.movedOn()
	if err := b.take(s.id); err != nil {
		q.taken++
		o.bad = err
		return
	}
	q.rest, q.next, q.size = b, 0, b.Size()
	o.bad = s.gatherRest(o)
}

// gatherRest adds the rest of a batch to the outbox as far as there is room. If
// the batch's memory is what goes over the wire, it adds all of it without
// looking at the messages.
func (s *Session) gatherRest(o *writerState) error {
	q := &o.batches
	b := q.rest
	if wire, ok := b.wire(s.set.codec); ok && o.batch.datagrams == nil {
		o.batch.addChunk(wire, b.Len())
		q.next = b.Len()
	}
	for q.next < b.Len() && !o.batch.full() {
		m := b.At(q.next)
		err := s.checkSize(len(m))
		if err != nil && s.traits.lossy {
			s.datagramFailed(len(m), err)
			err = nil
		} else if err == nil {
			err = o.batch.add(m, s.set.codec)
		}
		if err != nil {
			return err // the rest is lost with the session
		}
		q.next++
		q.size -= len(m)
	}
	if q.next == b.Len() {
		o.batch.owned = append(o.batch.owned, b)
		q.rest, q.size = nil, 0
		q.taken++
	}
	return nil
}

// abandonBatches counts the rest of a batch as lost.
func (s *Session) abandonBatches(o *writerState) {
	if q := &o.batches; q.rest != nil {
		s.lost(int64(q.rest.Len()-q.next), int64(q.size))
		q.rest.recycle()
		q.rest, q.size = nil, 0
	}
}

// loseBatches counts what is in batches as lost.
func (s *Session) loseBatches(batches <-chan *Batch) {
	for range len(batches) { // and no more: a bare sender may be filling it
		select {
		case b, ok := <-batches:
			if ok && b.take(s.id) == nil {
				s.lost(int64(b.Len()), int64(b.Size()))
				b.recycle()
			}
		default:
			return
		}
	}
}
