package chanio

import "example.com/chanio/internal/datagram"

// Recv returns the channel of received packets, in order of arrival, one whole
// datagram each. An empty datagram is a packet without data.
//
// The endpoint's reader sends on the channel and closes it once, when the
// endpoint has ended, after Err is set. Packets that are not yet in the channel
// on Close, Abort or the end of the context are dropped and counted in
// Stats.MessagesDropped. It buffers Options.RecvQueue packets. If they are not
// received, reading stops; the kernel then drops datagrams, which
// Stats.KernelDropped counts.
//
// The first call of Recv or RecvBatch decides which of the two delivers the
// packets. The other's channel yields nothing and is closed with this one.
func (p *PacketConn) Recv() <-chan Packet {
	p.ask(formMessages)
	return p.recv
}

// RecvBatch returns the channel of received packets, many in one value: what
// one system call returned. On Linux that is up to 16 kernel messages, each of
// up to 64 datagrams from one peer; elsewhere it is one datagram. A batch is
// never empty.
//
// The contract of Recv applies, with two differences. The receiver owns a batch
// only until it sends or releases it, and may only read it. The channel buffers
// one batch, or none if Options.RecvQueue is negative.
func (p *PacketConn) RecvBatch() <-chan *PacketBatch {
	p.ask(formBatches)
	return p.recvBatch
}

// ask sets the form of delivery to f unless one was asked for before.
func (p *PacketConn) ask(f form) {
	if form(p.form.Load()) != formUnknown {
		return
	}
	p.early.Lock()
	defer p.early.Unlock()
	if form(p.form.Load()) != formUnknown {
		return
	}
	if n := len(p.recv); n > 0 && f == formBatches {
		b := NewPacketBatch()
		for range n {
			b.Append(<-p.recv)
		}
		p.recvBatch <- b // recv has a buffer, so recvBatch has one too; nothing was sent on it yet
	}
	if p.late {
		close(p.recvBatch)
	}
	p.form.Store(uint32(f))
	close(p.asked)
}

// closeRecv closes the channels of received packets. What arrived before either
// was asked for is still received, in the form that is asked for.
func (p *PacketConn) closeRecv() {
	p.early.Lock()
	defer p.early.Unlock()
	close(p.recv)
	if p.late = form(p.form.Load()) == formUnknown; !p.late {
		close(p.recvBatch)
	}
}

// putEarly puts what arrived before any call of Recv or RecvBatch into recv, as
// far as there is room. It returns the rest.
func (p *PacketConn) putEarly(packets []datagram.Packet) []datagram.Packet {
	p.early.Lock()
	defer p.early.Unlock()
	for len(packets) > 0 && form(p.form.Load()) == formUnknown && len(p.recv) < cap(p.recv) {
		p.received(1, int64(len(packets[0].Data)))
		p.recv <- Packet(packets[0]) // the only sender, so the room stays
		packets = packets[1:]
	}
	return packets
}

// A packetReader copies what arrives for Recv or RecvBatch.
type packetReader struct {
	p       *PacketConn
	batch   *PacketBatch      // if batches were asked for, else nil
	packets []datagram.Packet // otherwise, in memory of their own
}

// Take copies ps into the form that was asked for.
func (r *packetReader) Take(ps []datagram.Packet) {
	if form(r.p.form.Load()) == formBatches {
		r.batch = packetBatchOf(ps)
		return
	}
	r.packets = datagram.Copy(r.packets, ps)
}

// Deliver hands over what Take copied. It reports whether there may be more.
func (r *packetReader) Deliver() bool {
	defer clear(r.packets)
	if r.batch != nil {
		b := r.batch
		r.batch = nil
		return r.p.deliverBatch(b)
	}
	packets := r.packets
	if form(r.p.form.Load()) == formUnknown {
		if packets = r.p.putEarly(packets); len(packets) == 0 {
			return true
		}
		select {
		case <-r.p.asked:
		case <-r.p.refused:
			return r.p.drop(len(packets))
		}
	}
	if form(r.p.form.Load()) == formBatches {
		return r.p.deliverBatch(packetBatchOf(packets))
	}
	return r.p.deliver(packets)
}

// deliver puts packets into recv. It counts them first, so that a packet
// received is already in Stats.
func (p *PacketConn) deliver(packets []datagram.Packet) bool {
	p.received(int64(len(packets)), size(packets))
	for i := range packets {
		if hand(p.recv, Packet(packets[i]), p.refused) != nil {
			dropped := packets[i:]
			p.received(-int64(len(dropped)), -size(dropped))
			return p.drop(len(dropped))
		}
	}
	return true
}

// deliverBatch puts b into recvBatch.
func (p *PacketConn) deliverBatch(b *PacketBatch) bool {
	n, size := b.Len(), int64(b.Size())
	p.received(int64(n), size)
	if hand(p.recvBatch, b, p.refused) == nil {
		return true
	}
	p.received(-int64(n), -size)
	b.Release()
	return p.drop(n)
}

// drop counts packets that will not be received.
func (p *PacketConn) drop(n int) bool {
	p.stats.messagesDropped.Add(int64(n))
	return false
}

func (p *PacketConn) received(packets, bytes int64) {
	p.stats.messagesReceived.Add(packets)
	p.stats.bytesReceived.Add(bytes)
}
