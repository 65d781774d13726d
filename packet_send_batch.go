package chanio

import (
	"net/netip"

	"example.com/chanio/internal/datagram"
)

// SendBatch returns the channel of batches to be sent, each packet to its Addr,
// under the contract of Send. It buffers one batch, or none if
// Options.SendQueue is negative. A batch belongs to the library once sent;
// sending one that was already sent or released is an [EventFailed]. There is
// no order between Send and SendBatch.
func (p *PacketConn) SendBatch() chan<- *PacketBatch {
	p.needWriter()
	return p.sendBatch
}

// PutBatch sends b like SendBatch and waits for room like Put. If it returns an
// error, nothing was accepted and the caller still owns b: ErrClosed once the
// endpoint has ended, or an error that says that b was already sent or
// released. What becomes of its packets is reported as for Put.
func (p *PacketConn) PutBatch(b *PacketBatch) error {
	if !p.puts.enter() {
		return p.errorAt("write", netip.AddrPort{}, ErrClosed)
	}
	defer func() {
		if p.puts.leave() {
			close(p.putsGone)
		}
	}()
	if err := b.put(p.id); err != nil {
		return p.errorAt("write", netip.AddrPort{}, err)
	}
	p.needWriter()
	if err := offer(p.sendBatch, b, p.refused, nil); err != nil {
		b.owner.Store(0)
		return p.errorAt("write", netip.AddrPort{}, err)
	}
	return nil
}

// sendQueuedBatches sends what is queued in sendBatch now. It reports whether
// both sendBatch and the socket are open.
func (p *PacketConn) sendQueuedBatches() bool {
	for range len(p.sendBatch) {
		select {
		case b, ok := <-p.sendBatch:
			if !ok || !p.transmitBatch(b) {
				return false
			}
		default:
			return true
		}
	}
	return true
}

// transmitBatch hands b to the kernel and releases it. It reports whether the socket
// is open.
func (p *PacketConn) transmitBatch(b *PacketBatch) (open bool) {
	if err := b.take(p.id); err != nil {
		p.failed(datagram.Packet{}, err)
		return true
	}
	defer b.recycle()
	open = true
	for i := 0; i < b.Len(); {
		out := packetBatches.Get().(*packetBatch)
		for end := min(b.Len(), i+maxPackets); i < end; i++ {
			p.accept(out, b.At(i))
		}
		if open {
			open = p.transmit(out)
		} else {
			p.lost(int64(len(out.packets)), out.bytes)
		}
		out.free()
	}
	return open
}

// dropBatches counts what is queued in sendBatch as lost.
func (p *PacketConn) dropBatches() {
	for range len(p.sendBatch) {
		select {
		case b, ok := <-p.sendBatch:
			if ok && b.take(p.id) == nil {
				p.lost(int64(b.Len()), int64(b.Size()))
				b.recycle()
			}
		default:
			return
		}
	}
}
