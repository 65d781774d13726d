package chanio

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/datagram"
)

// peers is the source of a udp listener: it makes a session of each address
// that datagrams come from. The listener's run receives; a session's writer
// sends by itself.
type peers struct {
	l      *Listener
	parent context.Context // of the sessions
	conn   *datagram.Conn
	queue  chan *Session // sent and closed by serve, received by offer
	turned atomic.Int64  // datagrams of peers that could not become sessions

	mu       sync.Mutex // never held across anything that blocks, nor while a session ends
	byAddr   map[netip.AddrPort]*peer
	quiet    list.List // of peers that were never answered, the one idle for longest first
	answered list.List // of the others, in the same order
	ignored  ignored
	timer    *time.Timer // the next IdleTimeout; nil before the first peer
	released bool
}

func listenPeers(ctx context.Context, network, address string, set *settings) (*peers, error) {
	conn, err := datagram.Listen(ctx, network, address, datagramConfig(set, false))
	if err != nil {
		return nil, wrapOp("listen", network, nil, nil, err)
	}
	err = setMulticast(conn, network, set)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &peers{
		parent:  ctx,
		conn:    conn,
		byAddr:  make(map[netip.AddrPort]*peer),
		ignored: ignored{limit: orDefault(set.MaxSessions, defaultUDPMaxSessions)},
	}, nil
}

func (t *peers) addr() net.Addr { return udpAddr(t.conn.LocalAddr()) }

// serve receives until interrupt, which is nil, or an error of the socket.
func (t *peers) serve(_ context.Context, l *Listener, quit <-chan struct{}) error {
	t.l = l
	t.queue = make(chan *Session, orDefault(l.set.MaxHandshakes, defaultMaxHandshakes))
	var offering sync.WaitGroup
	offering.Go(func() { t.offer(quit) })
	err := t.conn.Receive(t.deliver)
	close(t.queue)
	if err != nil {
		l.endServing() // or sessions nobody receives would be waited for
	}
	offering.Wait()
	return wrapOp("read", "udp", t.addr(), nil, err)
}

// offer delivers new sessions. serve starts it; it ends with the queue.
func (t *peers) offer(quit <-chan struct{}) {
	for s := range t.queue {
		t.l.deliver(s, quit)
	}
}

// interrupt ends serve; sessions can still send.
func (t *peers) interrupt() { t.conn.StopReceiving() }

// release closes the socket, when no session is left.
func (t *peers) release() {
	t.mu.Lock()
	t.released = true
	if t.timer != nil {
		t.timer.Stop()
	}
	t.mu.Unlock()
	t.conn.Close()
}

func (t *peers) stats() Stats {
	return Stats{
		KernelDropped:   t.conn.KernelDropped(),
		Refused:         t.conn.Refused(),
		MessagesDropped: t.turned.Load(),
	}
}

// deliver gives each datagram to its peer's session.
func (t *peers) deliver(batch []datagram.Packet) bool {
	now := time.Now()
	for i := range batch {
		p := t.known(batch[i].Addr, now)
		if p == nil {
			p = t.admit(batch[i], now)
		}
		if p == nil {
			t.turned.Add(1)
			continue
		}
		p.receive(&batch[i])
	}
	return true
}

// known returns the peer with that address, which was heard now.
func (t *peers) known(addr netip.AddrPort, now time.Time) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byAddr[addr]
	if p != nil {
		p.heard = now
		p.list.MoveToBack(p.element)
	}
	return p
}

// admit makes a session of a new address, unless it is ignored or there is no
// place for another undelivered one. Past MaxSessions another has to go.
func (t *peers) admit(first datagram.Packet, now time.Time) *peer {
	if len(t.queue) == cap(t.queue) || !t.makeRoom(first.Addr, now) || !t.l.reg.reserve() {
		return nil
	}
	p := &peer{table: t, addr: first.Addr, heard: now, list: &t.quiet, local: first.Local, ifIndex: first.IfIndex}
	s := newSession(t.parent, p, t.l.set, t.l.reg)
	p.session = s
	if !t.l.reg.add(s) {
		t.l.reg.left()
		return nil
	}
	t.mu.Lock()
	p.element = t.quiet.PushBack(p)
	t.byAddr[p.addr] = p
	if d := t.l.set.IdleTimeout; d > 0 && t.timer == nil && !t.released {
		t.timer = time.AfterFunc(d, t.expire)
	}
	t.mu.Unlock()
	s.connected(t.l.events)
	if s.over.Load() {
		t.remove(p, false) // it was ended before it could be found
	}
	t.queue <- s // has room: only serve sends
	return p
}

// makeRoom reports whether addr may become a session. At MaxSessions it ends
// one for it: first those that were never answered, then the one that was idle
// for longest.
func (t *peers) makeRoom(addr netip.AddrPort, now time.Time) bool {
	t.mu.Lock()
	if t.ignored.has(addr, now) {
		t.mu.Unlock()
		return false
	}
	var victim *peer
	if limit := t.l.set.MaxSessions; limit > 0 && len(t.byAddr) >= limit {
		first := t.quiet.Front()
		if first == nil {
			first = t.answered.Front()
		}
		victim = first.Value.(*peer)
	}
	t.mu.Unlock()
	if victim != nil {
		victim.session.terminate(victim.session.errorAt("session", ErrTooManySessions), false)
	}
	return true
}

// expire ends the sessions that were idle for IdleTimeout, and waits for the
// next one to be: one timer for all.
func (t *peers) expire() {
	limit := t.l.set.IdleTimeout
	now := time.Now()
	next := limit
	var idle []*peer
	t.mu.Lock()
	for _, l := range []*list.List{&t.quiet, &t.answered} {
		for e := l.Front(); e != nil; e = e.Next() {
			p := e.Value.(*peer)
			if left := limit - now.Sub(p.heard); left > 0 {
				next = min(next, left)
				break
			}
			idle = append(idle, p)
		}
	}
	if !t.released {
		t.timer.Reset(next)
	}
	t.mu.Unlock()
	for _, p := range idle {
		p.session.terminate(p.session.errorAt("session", &timeoutError{"IdleTimeout", limit}), false)
	}
}

// remove forgets p. If it is to be ignored, what is still under way from its
// address must not make a new session of it.
func (t *peers) remove(p *peer, ignore bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byAddr[p.addr] != p {
		return
	}
	delete(t.byAddr, p.addr)
	p.list.Remove(p.element)
	if d := t.l.set.CloseTimeout; ignore && d > 0 {
		t.ignored.add(p.addr, time.Now().Add(d))
	}
}

// answer notes that p was sent something: a forged address seldom is.
func (t *peers) answer(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byAddr[p.addr] == p && p.list == &t.quiet {
		t.quiet.Remove(p.element)
		p.list = &t.answered
		p.element = insertByAge(&t.answered, p)
	}
}

// insertByAge puts p into l, which is in the order of heard.
func insertByAge(l *list.List, p *peer) *list.Element {
	for e := l.Back(); e != nil; e = e.Prev() {
		if !e.Value.(*peer).heard.After(p.heard) {
			return l.InsertAfter(p, e)
		}
	}
	return l.PushFront(p)
}

// ignored are the addresses of sessions that were closed, each for a while.
type ignored struct {
	limit int
	until map[netip.AddrPort]time.Time
	order []netip.AddrPort // all have the same while, so the first is the next to go
}

func (g *ignored) add(addr netip.AddrPort, until time.Time) {
	if g.until == nil {
		g.until = make(map[netip.AddrPort]time.Time)
	}
	g.prune(time.Now())
	if _, ok := g.until[addr]; !ok {
		if len(g.order) >= g.limit {
			delete(g.until, g.order[0])
			g.order = g.order[1:]
		}
		g.order = append(g.order, addr)
	}
	g.until[addr] = until
}

func (g *ignored) has(addr netip.AddrPort, now time.Time) bool {
	g.prune(now)
	_, ok := g.until[addr]
	return ok
}

// prune forgets those whose while is over.
func (g *ignored) prune(now time.Time) {
	for len(g.order) > 0 && !g.until[g.order[0]].After(now) {
		delete(g.until, g.order[0])
		g.order = g.order[1:]
	}
}

// A peer is the transport of a udp listener's session. It has no reader: the
// table's gives it what arrives.
type peer struct {
	table   *peers
	addr    netip.AddrPort
	session *Session
	replied atomic.Bool // answer was called

	mu      sync.Mutex // guards what follows, and sending on and closing the session's recv
	halted  bool       // recv is closed
	local   netip.AddrPort
	ifIndex int

	// Guarded by the table's mu.
	list    *list.List
	element *list.Element
	heard   time.Time
}

// receive puts a datagram into the session's Recv, or drops it.
func (p *peer) receive(m *datagram.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted {
		return
	}
	p.local, p.ifIndex = m.Local, m.IfIndex
	st := &p.session.stats
	select {
	case p.session.recv <- m.Data:
		st.messagesReceived.Add(1)
		st.bytesReceived.Add(int64(len(m.Data)))
	default:
		st.messagesDropped.Add(1)
	}
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

func (p *peer) write(b *batch, s *Session) (int, error) {
	p.mu.Lock()
	local, ifIndex := p.local, p.ifIndex
	p.mu.Unlock()
	n, err := writeDatagrams(p.table.conn, datagram.Packet{Addr: p.addr, Local: local, IfIndex: ifIndex}, b, s)
	if !p.replied.Swap(true) {
		p.table.answer(p)
	}
	return n, err
}

func (p *peer) closeWrite() error  { return errNoHalfClose }
func (p *peer) canHalfClose() bool { return false }
func (p *peer) limit() int         { return datagram.MaxPayload(p.addr.Addr()) }

func (p *peer) shut(bool) {
	err := p.session.Err()
	closed := !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, ErrTooManySessions)
	p.table.remove(p, closed)
	p.interrupt()
}

func (p *peer) localAddr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return udpAddr(netip.AddrPortFrom(p.local.Addr(), p.table.conn.LocalAddr().Port()))
}

func (p *peer) remoteAddr() net.Addr                      { return udpAddr(p.addr) }
func (p *peer) tls() (state tls.ConnectionState, ok bool) { return state, false }
