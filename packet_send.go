package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"example.com/chanio/internal/datagram"
)

// Send returns the channel of packets to be sent, in order, each to its Addr.
// It buffers Options.SendQueue packets and blocks when the kernel takes less
// than is sent. A packet's Data belongs to the library once sent: do not modify
// it; sending the same slice to several peers is fine.
//
// Accepted does not mean delivered: see Flush. A packet that can't be sent is
// an [EventFailed] and does not end the endpoint. The endpoint's writer
// receives from the channel. Once the endpoint has ended there is no receiver:
// a bare send blocks forever, and a packet that still fits the buffer is lost,
// so select on Done as well, or use Put. Only the user may close the channel,
// which means Close.
func (p *PacketConn) Send() chan<- Packet {
	p.needWriter()
	return p.send
}

// Put sends m like Send, and its Data belongs to the library from then on. It
// waits for room, which it gets at least every Options.WriteTimeout. If it
// returns an error, nothing was accepted: ErrClosed once the endpoint has
// ended, or ErrMessageTooLarge if no datagram can hold the data (more than
// 65,507 bytes over IPv4, 65,527 over IPv6). It does not report what becomes of
// an accepted packet.
func (p *PacketConn) Put(m Packet) error {
	if !p.puts.enter() {
		return p.errorAt("write", m.Addr, ErrClosed)
	}
	defer func() {
		if p.puts.leave() {
			close(p.putsGone)
		}
	}()
	if err := checkPacket(m.Addr, len(m.Data)); err != nil {
		return p.errorAt("write", m.Addr, err)
	}
	p.needWriter()
	if err := offer(p.send, m, p.refused, nil); err != nil {
		return p.errorAt("write", m.Addr, err)
	}
	return nil
}

// checkPacket returns the error of a packet that can never be sent.
func checkPacket(to netip.AddrPort, size int) error {
	if !to.IsValid() {
		return errors.New("no address to send to")
	}
	if limit := datagram.MaxPayload(to.Addr()); size > limit {
		return fmt.Errorf("%w: %d bytes, and a datagram holds %d", ErrMessageTooLarge, size, limit)
	}
	return nil
}

// Flush waits until everything accepted before it is in the kernel. If packets
// could not be sent since the last Flush, it returns the error of the first of
// them. It returns ctx's error if ctx ends first, and an error that is
// ErrClosed if the endpoint ended with something undelivered.
func (p *PacketConn) Flush(ctx context.Context) error {
	if !p.writer.Load() {
		return nil // nothing was ever accepted
	}
	flushed := make(chan struct{})
	select {
	case p.flushes <- flushed:
	case <-p.done:
		return p.flushResult()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-flushed:
		return p.loss.take() // here: a Flush that gave up must not take it away
	case <-p.done:
		return p.flushResult()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flushResult is Flush's result once the endpoint has ended.
func (p *PacketConn) flushResult() error {
	if p.stats.lost.Load() == 0 {
		return p.loss.take()
	}
	return p.errorAt("flush", netip.AddrPort{}, ErrClosed)
}

// lost counts packets that were accepted and will not be sent.
func (p *PacketConn) lost(packets, bytes int64) {
	p.stats.lost.Add(packets)
	p.stats.undelivered.Add(bytes)
}

// needWriter starts the writer if the endpoint still has use for one, even after
// Close has begun, for a Put that was already inside.
func (p *PacketConn) needWriter() {
	if p.writer.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.writer.Load() && !p.finished {
		p.writer.Store(true)
		go p.writeLoop()
	}
}

// writeLoop is the endpoint's writer. needWriter starts it; it ends once it has
// sent what was accepted before a Close, or with the endpoint.
func (p *PacketConn) writeLoop() {
	defer close(p.writerDone)
	for p.writeOnce() {
	}
	p.beginClose() // it has begun, unless the user has closed send or sendBatch
	<-p.putsGone
	p.sendQueued()
	p.sendQueuedBatches()
}

// writeOnce sends what comes next. It reports whether to go on.
func (p *PacketConn) writeOnce() bool {
	select {
	case m, ok := <-p.send:
		return ok && p.sendWith(m)
	case b, ok := <-p.sendBatch:
		return ok && p.transmitBatch(b)
	case flushed := <-p.flushes:
		if !p.sendQueued() || !p.sendQueuedBatches() {
			return false
		}
		close(flushed)
		return true
	case <-p.refused:
		return false
	}
}

// maxPackets is how many packets the writer hands to the kernel at once.
const maxPackets = 256

// A packetBatch is what the writer has taken from send, in pooled memory: a
// parked writer holds none.
type packetBatch struct {
	packets []datagram.Packet
	bytes   int64
}

var packetBatches = sync.Pool{New: func() any { return new(packetBatch) }}

func (b *packetBatch) add(m Packet) {
	b.packets = append(b.packets, datagram.Packet(m))
	b.bytes += int64(len(m.Data))
}

// free returns b to the pool.
func (b *packetBatch) free() {
	clear(b.packets)
	b.packets, b.bytes = b.packets[:0], 0
	packetBatches.Put(b)
}

// sendWith sends m and what is queued in send after it. It reports whether both
// send and the socket are open.
func (p *PacketConn) sendWith(m Packet) bool {
	b := packetBatches.Get().(*packetBatch)
	defer b.free()
	p.accept(b, m)
	open := p.take(b, maxPackets)
	return p.transmit(b) && open
}

// sendQueued sends what is queued in send now. It reports the same as sendWith.
func (p *PacketConn) sendQueued() bool {
	for left := len(p.send); left > 0; {
		b := packetBatches.Get().(*packetBatch)
		limit := min(left, maxPackets)
		open := p.take(b, limit)
		left -= limit
		ok := p.transmit(b)
		b.free()
		if !ok || !open {
			return false
		}
	}
	return true
}

// take adds up to limit packets that are queued in send to b. It reports whether
// send is open.
func (p *PacketConn) take(b *packetBatch, limit int) bool {
	for range limit {
		select {
		case m, ok := <-p.send:
			if !ok {
				return false
			}
			p.accept(b, m)
		default:
			return true
		}
	}
	return true
}

// accept adds m to b unless it can never be sent. The check is needed because
// not every system takes a missing address for an error.
func (p *PacketConn) accept(b *packetBatch, m Packet) {
	if err := checkPacket(m.Addr, len(m.Data)); err != nil {
		p.failed(datagram.Packet(m), err)
		return
	}
	b.add(m)
}

// transmit hands b to the kernel. It reports whether the socket is open; if not,
// it counts what was not sent.
func (p *PacketConn) transmit(b *packetBatch) bool {
	p.stats.bytesPending.Store(b.bytes)
	defer p.stats.bytesPending.Store(0)
	for rest := b.packets; len(rest) > 0; {
		n, err := p.conn.Write(rest)
		p.stats.messagesSent.Add(int64(n))
		p.stats.bytesSent.Add(size(rest[:n]))
		rest = rest[n:]
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			p.lost(int64(len(rest)), size(rest))
			return false
		default:
			p.failed(rest[0], err)
			rest = rest[1:]
		}
	}
	return true
}

// size returns how many bytes of data packets carry.
func size(packets []datagram.Packet) (bytes int64) {
	for i := range packets {
		bytes += int64(len(packets[i].Data))
	}
	return bytes
}

// failed reports a packet that could not be sent: to Stats, Events, Flush and Close.
func (p *PacketConn) failed(m datagram.Packet, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &timeoutError{"WriteTimeout", p.set.WriteTimeout}
	}
	err = p.errorAt("write", m.Addr, err)
	p.stats.messagesDropped.Add(1)
	p.stats.undelivered.Add(int64(len(m.Data)))
	p.loss.note(err)
	p.events.emit(Event{Kind: EventFailed, Err: err})
}
