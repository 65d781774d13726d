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

// A peerKey is what a udp session is: a pair of addresses.
type peerKey struct {
	remote netip.AddrPort
	local  netip.Addr // what the peer wrote to
}

func keyOf(p *datagram.Packet) peerKey { return peerKey{p.Addr, p.Local.Addr()} }

// A peer is the transport of a udp listener's session. It has no reader: the
// table's gives it what arrives.
type peer struct {
	table   *peers
	key     peerKey
	session *Session

	// Guarded by the session's mu, as sending on and closing its recv are.
	queue   peerQueue
	ifIndex int32 // where its last datagram came in
	stalled bool  // see receive

	replied atomic.Bool // answered was called
	place               // in the table
}

// receive puts datagrams into the session's Recv, or drops and counts them. It
// returns those for which the session does not receive any more.
func (p *peer) receive(run []datagram.Packet) (late []datagram.Packet) {
	n, got := p.put(run, false)
	for got == recvFull {
		// Its receiver may lack only the processor that this goroutine has. One that
		// keeps up takes more than half of Recv at a time. One that does not is
		// stalled, and nobody makes way for it again until it has: so each yield is
		// paid for with half a queue.
		run = run[n:]
		runtime.Gosched()
		n, got = p.put(run, true)
	}
	run = run[n:]
	if got == recvClosed {
		return run
	}
	p.session.stats.messagesDropped.Add(int64(len(run)))
	return nil
}

// recvState is what a peer's Recv is like after datagrams were put into it.
type recvState int

const (
	recvOpen    recvState = iota // it has taken all
	recvFull                     // it has no room for the rest
	recvStalled                  // the same, and nobody receives
	recvClosed                   // it takes nothing any more
)

// put takes as many of the datagrams as there is room for, and returns how many that
// were. They are counted first, so that whoever received one finds it in Stats.
func (p *peer) put(run []datagram.Packet, yielded bool) (n int, state recvState) {
	s := p.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recvClosed {
		return 0, recvClosed
	}
	p.ifIndex = int32(run[len(run)-1].IfIndex)
	// Nobody else sends, so there is room for what fits.
	n = p.queue.fits(s.recv, s.set.RecvQueue, run)
	if p.queue.len(s.recv) < (s.set.RecvQueue+1)/2 && n > 0 {
		p.stalled = false
	} else if yielded {
		p.stalled = true
	}
	st := &s.stats
	st.messagesReceived.Add(int64(n))
	st.bytesReceived.Add(size(run[:n]))
	for i := range run[:n] {
		p.queue.put(s.recv, run[i].Data)
	}
	switch {
	case n == len(run):
		return n, recvOpen
	case p.stalled:
		return n, recvStalled
	}
	return n, recvFull
}

// delivered notes that somebody has received the session from Sessions.
func (p *peer) delivered() {
	p.session.mu.Lock()
	p.queue.open = true
	p.session.mu.Unlock()
}

// interrupt ends the receiving, for a Close. What is left in Recv of a session whose
// handler has received something is the beginning of the next one: whoever answers
// and closes answers every request, also those that came together.
func (p *peer) interrupt() {
	if rest := p.stopReceiving(true); len(rest) > 0 {
		p.table.deliverRun(rest, true)
	}
}

// stopReceiving makes the address pair free for another session and closes Recv. If
// the table still admits peers and the handler has received something, it takes back
// what is left in Recv and returns it.
func (p *peer) stopReceiving(takeBack bool) (rest []datagram.Packet) {
	again := p.table.remove(p)
	s := p.session
	s.mu.Lock()
	first := !s.recvClosed
	if first {
		if st := &s.stats; again && takeBack && st.messagesReceived.Load() > int64(p.queue.len(s.recv)) {
			rest = p.unreceived()
			st.messagesReceived.Add(-int64(len(rest)))
			st.bytesReceived.Add(-size(rest))
		}
		s.closeRecvLocked()
	}
	s.mu.Unlock()
	if first {
		s.release() // in the place of a reader
	}
	return rest
}

// unreceived takes what is in Recv. The caller holds the session's mu.
func (p *peer) unreceived() (rest []datagram.Packet) {
	for {
		select {
		case m := <-p.session.recv:
			rest = append(rest, datagram.Packet{
				Addr:    p.key.remote,
				Local:   netip.AddrPortFrom(p.key.local, p.table.conn.LocalAddr().Port()),
				IfIndex: int(p.ifIndex),
				Data:    m,
			})
		default:
			return rest
		}
	}
}

func (p *peer) run(*Session) {} // nothing to start: see receive

func (p *peer) write(b *outBatch, f sock.Flow) error {
	p.session.mu.Lock()
	to := datagram.Packet{Addr: p.key.remote, Local: netip.AddrPortFrom(p.key.local, 0), IfIndex: int(p.ifIndex)}
	p.session.mu.Unlock()
	err := writeDatagrams(p.table.conn, to, b, p.session, f)
	if !p.replied.Swap(true) {
		p.table.answered(p)
	}
	return err
}

func (p *peer) traits() traits       { return datagramTraits(p.key.remote) }
func (p *peer) attach(s *Session)    { p.session = s }
func (p *peer) socket() *sock.Socket { return nil }
func (p *peer) closeWrite() error    { return nil }
func (p *peer) count(*Stats)         {}

func (p *peer) shut(bool) {
	p.stopReceiving(false)
	p.table.ended(p)
}

func (p *peer) localAddr() net.Addr {
	return udpAddr(netip.AddrPortFrom(p.key.local, p.table.conn.LocalAddr().Port()))
}

func (p *peer) remoteAddr() net.Addr                      { return udpAddr(p.key.remote) }
func (p *peer) tls() (state tls.ConnectionState, ok bool) { return state, false }
