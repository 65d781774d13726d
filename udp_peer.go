package chanio

import (
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"sync/atomic"

	"example.com/chanio/internal/datagram"
	"example.com/chanio/internal/sock"
)

// A peerKey identifies a udp session: a pair of addresses.
type peerKey struct {
	remote netip.AddrPort
	local  netip.Addr // the address the peer wrote to
}

func keyOf(p *datagram.Packet) peerKey { return peerKey{p.Addr, p.Local.Addr()} }

// A peer is the transport of a udp listener's session. It has no reader of its
// own: the table's reader hands it what arrives.
type peer struct {
	table   *peers
	key     peerKey
	session *Session

	// Guarded by the session's mu, as are sending on its recv and closing it.
	queue   peerQueue
	ifIndex int32 // the interface of its last datagram
	stalled bool  // see receive

	replied atomic.Bool // it was sent something
	place               // in the table
}

// receive puts datagrams into the session's Recv, or drops and counts them. It
// returns those that arrived after the session stopped receiving. If again is set,
// another session has left them.
func (p *peer) receive(run []datagram.Packet, again bool) (late []datagram.Packet) {
	n, got := p.put(run, again, false)
	for got == recvFull {
		// The receiver may only lack the processor that this goroutine occupies.
		// A receiver that keeps up takes more than half of Recv at a time. One
		// that does not is stalled and gets no more yields until it has, so each
		// yield is paid for with half a queue.
		run = run[n:]
		runtime.Gosched()
		n, got = p.put(run, again, true)
	}
	if got == recvClosed {
		return run
	}
	return nil
}

// recvState is the state of a peer's Recv after datagrams were put into it.
type recvState int

const (
	recvOpen    recvState = iota // it took everything
	recvFull                     // no room for the rest
	recvStalled                  // no room for the rest, which was dropped: its receiver is stalled
	recvClosed                   // it accepts nothing more
)

// put accepts as many of the datagrams as there is room for and returns how
// many. It counts them first, so that a datagram received is already in Stats.
func (p *peer) put(run []datagram.Packet, again, yielded bool) (n int, state recvState) {
	s := p.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recvClosed {
		return 0, recvClosed
	}
	p.ifIndex = int32(run[len(run)-1].IfIndex)
	if form(s.form.Load()) == formBatches {
		return p.putBatched(run, yielded)
	}
	limit := s.set.RecvQueue
	if again && s.recv == nil { // a batch may have held more
		limit = max(limit, p.queue.len(nil)+len(run))
	}
	// This is the only sender, so there is room for what fits.
	n = p.queue.fits(s.recv, limit, run)
	if p.queue.len(s.recv) < (s.set.RecvQueue+1)/2 && n > 0 {
		p.stalled = false
	} else if yielded {
		p.stalled = true
	}
	p.counted(run[:n])
	s.allowAnswer()
	for i := range run[:n] {
		p.queue.put(s.recv, run[i].Data)
	}
	return n, p.stateAfter(n, run)
}

// putBatched is put if batches were asked for. The caller holds the session's
// mu.
func (p *peer) putBatched(run []datagram.Packet, yielded bool) (n int, state recvState) {
	s := p.session
	var one [1]*Batch
	waiting := s.takeBack(one[:0])
	if len(waiting) == 0 {
		p.stalled = false
	} else if yielded {
		p.stalled = true
	}
	waiting, n = gather(waiting, cap(s.recvBatch), run)
	p.counted(run[:n])
	s.allowAnswer()
	s.giveBack(waiting)
	return n, p.stateAfter(n, run)
}

// counted counts datagrams as received.
func (p *peer) counted(run []datagram.Packet) {
	p.session.stats.messagesReceived.Add(int64(len(run)))
	p.session.stats.bytesReceived.Add(size(run))
}

// stateAfter returns the state after n of run were accepted, and counts the rest
// if that is dropped. The caller holds the session's mu.
func (p *peer) stateAfter(n int, run []datagram.Packet) recvState {
	switch {
	case n == len(run):
		return recvOpen
	case p.stalled:
		// Here, where the session cannot end, or its totals would lack them.
		p.session.stats.messagesDropped.Add(int64(len(run) - n))
		return recvStalled
	}
	return recvFull
}

// delivered records that the session was received from Sessions.
func (p *peer) delivered() {
	p.session.mu.Lock()
	p.queue.open = true
	p.session.mu.Unlock()
}

// interrupt stops receiving, for a Close. If the session's handler has received
// anything, what is left in Recv begins the next session: a handler that answers
// and closes thus answers every request, even those that arrived together.
func (p *peer) interrupt() {
	rest, first := p.stopReceiving(true)
	if len(rest) > 0 {
		p.table.deliverRun(rest, true)
	}
	if first { // only now, or what is in neither session would be in nobody's totals
		p.session.release()
	}
}

// stopReceiving frees the address pair for another session and closes Recv. If
// takeBack is set, the table still admits peers and the handler has received
// something, it takes what is left in Recv and returns it. If first is set, the
// caller must release the session: that is the reference that a reader would hold.
func (p *peer) stopReceiving(takeBack bool) (rest []datagram.Packet, first bool) {
	again := p.table.remove(p)
	s := p.session
	s.mu.Lock()
	defer s.mu.Unlock()
	first = !s.recvClosed
	if first {
		if again && takeBack {
			rest = p.unreceived()
			s.stats.messagesReceived.Add(-int64(len(rest)))
			s.stats.bytesReceived.Add(-size(rest))
		}
		s.closeRecvLocked()
	}
	return rest, first
}

// unreceived takes back and returns what waits to be received, unless the
// session's handler has received nothing. The caller holds the session's mu.
func (p *peer) unreceived() (rest []datagram.Packet) {
	s := p.session
	received := s.stats.messagesReceived.Load()
	add := func(m []byte) {
		rest = append(rest, datagram.Packet{
			Addr:    p.key.remote,
			Local:   netip.AddrPortFrom(p.key.local, p.table.conn.LocalAddr().Port()),
			IfIndex: int(p.ifIndex),
			Data:    m,
		})
	}
	if form(s.form.Load()) == formBatches {
		waiting := s.takeBack(nil)
		for _, b := range waiting {
			for _, m := range b.All() {
				add(m) // b is not released: its memory belongs to these messages now
			}
		}
		if received > int64(len(rest)) {
			return rest
		}
		s.giveBack(waiting)
		return nil
	}
	if received <= int64(p.queue.len(s.recv)) {
		return nil
	}
	for {
		select {
		case m := <-s.recv:
			add(m)
		default:
			return rest
		}
	}
}

func (p *peer) run(*Session) {} // no reader to start: see receive

func (p *peer) write(b *outBatch, f sock.Flow) error {
	err := writeDatagrams(p.table.conn, p.destination(), b, p.session, f)
	p.answered()
	return err
}

// writeNow sends what the kernel takes at once.
func (p *peer) writeNow(b *outBatch, f sock.Flow) (all bool) {
	if p.session.over() {
		return false // the socket may stay open for other sessions
	}
	packets := datagramsOf(b, p.destination())
	defer packets.free()
	n := p.table.conn.WriteNow(packets.packets)
	if n > 0 {
		b.datagrams.done += n
		f.Progress(int(size(packets.packets[:n])))
		p.answered()
	}
	return n == len(packets.packets)
}

// destination returns a packet to the peer, without data.
func (p *peer) destination() datagram.Packet {
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	return datagram.Packet{Addr: p.key.remote, Local: netip.AddrPortFrom(p.key.local, 0), IfIndex: int(p.ifIndex)}
}

// answered records that the peer was sent something.
func (p *peer) answered() {
	if !p.replied.Swap(true) {
		p.table.answered(p)
	}
}

func (p *peer) traits() traits {
	t := datagramTraits(p.key.remote)
	if p.table.conn.WritesNow() {
		t.now = p
	}
	return t
}

func (p *peer) attach(s *Session)                 { p.session = s }
func (p *peer) socket() *sock.Socket              { return nil }
func (p *peer) closeWrite() (size int, err error) { return 0, nil }
func (p *peer) count(*Stats)                      {}

func (p *peer) shut(bool) {
	if _, first := p.stopReceiving(false); first {
		p.session.release()
	}
	p.table.ended(p)
}

func (p *peer) localAddr() net.Addr {
	return udpAddr(netip.AddrPortFrom(p.key.local, p.table.conn.LocalAddr().Port()))
}

func (p *peer) remoteAddr() net.Addr                      { return udpAddr(p.key.remote) }
func (p *peer) tls() (state tls.ConnectionState, ok bool) { return state, false }
