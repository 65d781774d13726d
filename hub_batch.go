package chanio

import "fmt"

// MulticastBatch publishes the messages of b, in order, with no other messages
// in between. It copies them, so the caller still owns b. A batch that was sent or
// released is an error, and so is one of more than 4 GiB: see [Session.PutBatch].
//
// If no member can carry some message of b, the error is that of
// [Hub.Multicast] for the first such message, and nothing of b is published. A
// batch of more than MaxLag/2 bytes is published message by message, up to the
// first that fails.
func (h *Hub) MulticastBatch(b *Batch) error {
	if err := b.readable(); err != nil {
		return fmt.Errorf("chanio: multicast of a batch: %w", err)
	}
	if b.Len() == 0 {
		if h.ended() {
			return h.failed(0, ErrClosed)
		}
		return nil
	}
	for {
		if err := h.tryPublishBatch(b); err != errNewFeed {
			return err
		}
	}
}

// tryPublishBatch publishes b, which is not empty, unless somebody with another
// framing joins meanwhile.
func (h *Hub) tryPublishBatch(b *Batch) error {
	frames := h.targets(make([]frame, 1))
	refused := make([]int, 0) // how many feeds refused each message
	for i := range frames {
		refused = frames[i].encodeBatch(b, refused)
	}
	for i, n := range refused {
		if n == len(frames) {
			one := frame{feed: frames[0].feed} // frames[0].err may be of an earlier one, which others can carry
			one.encode(nil, b.At(i))
			return h.failed(len(b.At(i)), fmt.Errorf("message %d of %d: %w", i, b.Len(), one.err))
		}
	}
	for i := range frames {
		if int64(len(frames[i].data)) > h.maxLag/2 {
			return h.publishEach(b)
		}
	}
	return h.commit(frames, b.Size(), nil)
}

// publishEach publishes the messages of b one by one.
func (h *Hub) publishEach(b *Batch) error {
	for _, m := range b.All() {
		if err := h.publish(m, nil); err != nil {
			return err
		}
	}
	return nil
}

// encodeBatch frames the messages of b and counts those that cannot be framed
// in refused, which is allocated when the first is.
func (f *frame) encodeBatch(b *Batch, refused []int) []int {
	if f.takeWire(b) {
		return refused
	}
	f.ends = make([]int, 0, b.Len())
	f.data = make([]byte, 0, b.Size()+16*b.Len())
	for i, m := range b.All() {
		one := frame{feed: f.feed}
		one.encode(f.data[len(f.data):], m)
		if one.err != nil {
			f.refuse(one.err)
			if len(refused) == 0 {
				refused = make([]int, b.Len())
			}
			refused[i]++
			continue
		}
		f.data = append(f.data, one.data...) // already in place if there was room
		f.ends = append(f.ends, len(f.data))
	}
	return refused
}

// takeWire makes b's memory the frames, without a copy, if it holds what the feed's
// members get, as the memory of a batch that was received often does. It reports
// whether it did.
func (f *frame) takeWire(b *Batch) bool {
	codec := codecOf(f.feed.framing)
	wrap, ok := codec.(wrapping)
	if !ok {
		return false
	}
	wire, ok := b.wire(codec)
	if !ok || int64(len(wire)) > f.feed.hub.maxLag/2 {
		return false
	}
	ends, end := make([]int, 0, b.Len()), 0
	for _, m := range b.All() {
		end += len(m) + wrap.overhead(m)
		ends = append(ends, end)
	}
	if end != len(wire) { // never, or a member would get garbage
		return false
	}
	f.data, f.ends = wire, ends
	return true
}
