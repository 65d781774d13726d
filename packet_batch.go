package chanio

import (
	"iter"
	"math"
	"net/netip"
	"sync/atomic"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/datagram"
)

// A PacketBatch is many packets in one value, in recycled memory. It is for
// endpoints with so many packets that a channel operation and an allocation for
// each dominate their cost.
//
// A batch has one owner at a time. Whoever received it from RecvBatch or made
// it with NewPacketBatch owns it until it is sent (SendBatch, PutBatch) or
// released. After that, neither the batch nor the data of its packets may be
// touched. Under go test -race the memory of released batches is overwritten,
// so that a late use shows. An owner that does neither leaves the memory to the
// garbage collector, which is slower but never wrong.
//
// A PacketBatch is not safe for concurrent use, except for Release. The zero
// PacketBatch is empty and ready to use. A PacketBatch must not be copied.
type PacketBatch struct {
	owner atomic.Uint64  // 0: the user; else noOwner, or the id of the endpoint it was put to
	buf   *buffer.Buffer // the data, one span per packet; nil while there is no memory
	paths []packetPath   // of each packet
	used  int            // how much of buf is used
	over  bool           // a packet was refused because the index has no room for it
}

// A packetPath is a packet without its data.
type packetPath struct {
	addr, local netip.AddrPort
	ifIndex     int
}

// NewPacketBatch returns an empty batch, to be filled and sent.
func NewPacketBatch() *PacketBatch { return new(PacketBatch) }

// Len returns the number of packets.
func (b *PacketBatch) Len() int { return len(b.paths) }

// Size returns the number of bytes of all packets' data together.
func (b *PacketBatch) Size() int { return b.used }

// At returns packet i, counted from 0, and panics if there is none. Its Data is
// part of the batch's memory: it is valid until the batch is appended to, sent
// or released, and its capacity is its length.
func (b *PacketBatch) At(i int) Packet {
	p, s := &b.paths[i], b.buf.Spans[i]
	return Packet{Addr: p.addr, Local: p.local, IfIndex: p.ifIndex, Data: b.buf.B[s.Start:s.End:s.End]}
}

// All yields the index of each packet and the packet, as At returns it.
func (b *PacketBatch) All() iter.Seq2[int, Packet] {
	return func(yield func(int, Packet) bool) {
		for i := range b.Len() {
			if !yield(i, b.At(i)) {
				return
			}
		}
	}
}

// Append adds m as the last packet, with a copy of its Data. A batch that was
// sent or released ignores it. A batch of more than 4 GiB cannot be sent: see
// PutBatch.
func (b *PacketBatch) Append(m Packet) {
	if b.owner.Load() != 0 || b.over {
		return
	}
	if uint64(b.used)+uint64(len(m.Data)) > math.MaxUint32 {
		b.over = true
		return
	}
	old := b.grow(len(m.Data))
	start := b.used
	b.used += copy(b.buf.B[start:], m.Data) // it may be one of the batch's own, in old
	b.buf.Spans = append(b.buf.Spans, buffer.Span{Start: uint32(start), End: uint32(b.used)})
	b.paths = append(b.paths, packetPath{m.Addr, m.Local, m.IfIndex})
	free(old)
}

// grow makes room for n more bytes. If the data had to be moved, old is the
// memory to free.
func (b *PacketBatch) grow(n int) (old *buffer.Buffer) {
	switch {
	case b.buf == nil:
		b.buf = buffer.Get(n)
		return nil
	case n <= len(b.buf.B)-b.used:
		return nil
	}
	old = b.buf
	b.buf = buffer.Get(max(2*len(old.B), b.used+n))
	copy(b.buf.B, old.B[:b.used])
	b.buf.Spans = append(b.buf.Spans, old.Spans...)
	return old
}

// Release gives the batch's memory back, to be used again. Releasing a batch a
// second time, or one that was put to an endpoint, has no effect. It is safe
// for concurrent use.
func (b *PacketBatch) Release() {
	if b.owner.CompareAndSwap(0, noOwner) {
		b.recycle()
	}
}

// recycle gives the memory back. The caller has made sure that b has no owner.
func (b *PacketBatch) recycle() {
	free(b.buf)
	b.buf, b.paths, b.used = nil, nil, 0
}

// put hands b to the endpoint id. It fails if the caller does not own b.
func (b *PacketBatch) put(id uint64) error {
	switch {
	case b == nil:
		return errNilBatch
	case !b.owner.CompareAndSwap(0, id):
		return errBatchGone
	case b.over:
		b.owner.Store(0)
		return ErrMessageTooLarge
	}
	return nil
}

// take makes the writer of endpoint id the owner of b. It fails if b belongs to
// someone else.
func (b *PacketBatch) take(id uint64) error {
	if b != nil && b.owner.CompareAndSwap(id, noOwner) {
		return nil
	}
	if err := b.put(id); err != nil {
		return err
	}
	b.owner.Store(noOwner)
	return nil
}

// packetBatchOf returns a batch of ps, whose data is copied.
func packetBatchOf(ps []datagram.Packet) *PacketBatch {
	b := &PacketBatch{paths: make([]packetPath, 0, len(ps)), buf: buffer.Get(int(size(ps)))}
	for i := range ps {
		b.Append(Packet(ps[i]))
	}
	return b
}
