package chanio

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/datagram"
)

// A peer is the transport of a udp listener's session. It has no reader: the
// table's gives it what arrives.
type peer struct {
	table   *peers
	addr    netip.AddrPort
	session *Session
	replied atomic.Bool // answered was called

	mu      sync.Mutex // guards what follows, and sending on and closing the session's recv
	halted  bool       // recv is closed
	local   netip.AddrPort
	ifIndex int

	// Guarded by the table's mu.
	lastHeard time.Time
	inHeard   *list.Element
	inQuiet   *list.Element // nil once it was answered
}

// receive puts datagrams into the session's Recv, or drops them.
func (p *peer) receive(run []datagram.Packet) {
	rest := run[p.put(run):]
	for len(rest) > 0 {
		// Recv is full, but its receiver may lack only the processor that this
		// goroutine has. One that keeps up takes more than half of it at a time;
		// for others nobody waits.
		runtime.Gosched()
		n := p.put(rest)
		rest = rest[n:]
		if n <= cap(p.session.recv)/2 {
			break
		}
	}
	p.session.stats.messagesDropped.Add(int64(len(rest)))
}

// put puts as many of the datagrams into Recv as it has room for, and returns how
// many that were. They are counted first, so that whoever received one finds it
// in Stats. A session that receives nothing any more takes all, for nobody; it may
// be summed up already.
func (p *peer) put(run []datagram.Packet) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted {
		p.table.turned.Add(int64(len(run)))
		return len(run)
	}
	last := &run[len(run)-1]
	p.local, p.ifIndex = last.Local, last.IfIndex
	recv, st := p.session.recv, &p.session.stats
	n := min(len(run), cap(recv)-len(recv)) // nobody else sends, so the room stays
	st.messagesReceived.Add(int64(n))
	st.bytesReceived.Add(size(run[:n]))
	for i := range run[:n] {
		recv <- run[i].Data
	}
	return n
}

// interrupt ends the receiving.
func (p *peer) interrupt() {
	p.mu.Lock()
	first := !p.halted
	if first {
		p.halted = true
		close(p.session.recv)
	}
	p.mu.Unlock()
	if first {
		p.session.release() // in the place of a reader
	}
}

func (p *peer) run(*Session) {} // nothing to start: see receive

func (p *peer) write(b *outBatch, s *Session) (int, error) {
	p.mu.Lock()
	local, ifIndex := p.local, p.ifIndex
	p.mu.Unlock()
	n, err := writeDatagrams(p.table.conn, datagram.Packet{Addr: p.addr, Local: local, IfIndex: ifIndex}, b, s)
	if !p.replied.Swap(true) {
		p.table.answered(p)
	}
	return n, err
}

func (p *peer) traits() traits    { return datagramTraits(p.addr) }
func (p *peer) attach(s *Session) { p.session = s }
func (p *peer) closeWrite() error { return nil }
func (p *peer) count(*Stats)      {}

func (p *peer) shut(bool) {
	p.table.ended(p)
	p.interrupt()
}

func (p *peer) localAddr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return udpAddr(netip.AddrPortFrom(p.local.Addr(), p.table.conn.LocalAddr().Port()))
}

func (p *peer) remoteAddr() net.Addr                      { return udpAddr(p.addr) }
func (p *peer) tls() (state tls.ConnectionState, ok bool) { return state, false }
