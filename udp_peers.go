package chanio

import (
	"container/list"
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/datagram"
)

// peers is the source of a udp listener: it makes a session of each address
// that datagrams come from. The listener's run receives; a session's writer
// sends by itself.
type peers struct {
	l       *Listener
	parent  context.Context // whose values the sessions' contexts have
	conn    *datagram.Conn
	turned  atomic.Int64  // datagrams of peers that could not become sessions, or were ones
	arrival chan struct{} // one slot: offer shall look at undelivered; sent and closed by serve

	mu          sync.Mutex // never held across anything that blocks, nor while a session ends
	byAddr      map[netip.AddrPort]*peer
	heard       list.List  // of all in byAddr, the one idle for longest first
	quiet       list.List  // of those that were never answered, in the same order
	undelivered []*Session // that nobody has received from Sessions
	tidyAt      int        // how many undelivered are looked through for those that have ended
	ignored     ignored
	timer       *time.Timer // the next IdleTimeout; nil while there are no peers
	stopped     bool        // there will be no more sessions
}

// peerSettings resolves the options of a udp listener.
func peerSettings(ctx context.Context, network string, o *Options) (*settings, error) {
	set, err := datagramSettings(ctx, "listen", network, o)
	if err == nil {
		set.RecvQueue = max(1, set.RecvQueue) // the first message comes with the session
		set.ManualJoin = true
	}
	return set, err
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
	return newPeers(ctx, conn, set), nil
}

// newPeers returns a source of sessions over conn.
func newPeers(ctx context.Context, conn *datagram.Conn, set *settings) *peers {
	return &peers{
		parent:  ctx,
		conn:    conn,
		arrival: make(chan struct{}, 1),
		byAddr:  make(map[netip.AddrPort]*peer),
		ignored: ignored{limit: orDefault(set.MaxSessions, defaultUDPMaxSessions)},
	}
}

func (t *peers) addr() net.Addr { return udpAddr(t.conn.LocalAddr()) }

// serve receives until interrupt, which is nil, or an error of the socket.
func (t *peers) serve(_ context.Context, l *Listener, quit <-chan struct{}) error {
	t.l = l
	var offering sync.WaitGroup
	offering.Go(func() { t.offer(quit) })
	err := t.conn.Receive(t.deliver)
	close(t.arrival)
	if err != nil {
		l.endServing() // or sessions nobody receives would be waited for
	}
	offering.Wait()
	t.mu.Lock()
	t.stopped = true
	t.mu.Unlock()
	t.letGo()
	return wrapOp("read", "udp", t.addr(), nil, err)
}

// offer delivers new sessions. serve starts it; it ends when serve does.
func (t *peers) offer(quit <-chan struct{}) {
	for open := true; open; _, open = <-t.arrival {
		for s := t.firstUndelivered(); s != nil; s = t.firstUndelivered() {
			t.l.deliver(s, quit)
			t.mu.Lock()
			t.undelivered[0] = nil
			t.undelivered = t.undelivered[1:]
			t.mu.Unlock()
		}
	}
}

func (t *peers) firstUndelivered() *Session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.undelivered) == 0 {
		return nil
	}
	return t.undelivered[0]
}

// interrupt ends serve; sessions can still send.
func (t *peers) interrupt() { t.conn.StopReceiving() }

// letGo closes the socket once nobody has anything to send: a writer of a session
// that was aborted may still wait for room in the kernel.
func (t *peers) letGo() {
	t.mu.Lock()
	idle := t.stopped && len(t.byAddr) == 0
	if idle && t.timer != nil {
		t.timer.Stop() // or it would keep the table until it fires
	}
	t.mu.Unlock()
	if idle {
		t.conn.Close()
	}
}

// release closes the socket, if letGo has not.
func (t *peers) release() { t.conn.Close() }

func (t *peers) stats() Stats {
	return Stats{
		KernelDropped:   t.conn.KernelDropped(),
		Refused:         t.conn.Refused(),
		MessagesDropped: t.turned.Load(),
	}
}

// deliver gives the datagrams to their peers' sessions. Those of one peer that
// come one behind the other, as GRO makes them, cost one look into the table.
func (t *peers) deliver(batch []datagram.Packet) bool {
	now := time.Now()
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].Addr == batch[0].Addr {
			n++
		}
		p := t.known(batch[0].Addr, now)
		if p == nil {
			p = t.admit(&batch[0], now)
		}
		if p != nil {
			p.receive(batch[:n])
		} else {
			t.turned.Add(int64(n))
		}
		batch = batch[n:]
	}
	return true
}

// known returns the peer with that address, which was heard now.
func (t *peers) known(addr netip.AddrPort, now time.Time) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byAddr[addr]
	if p == nil {
		return nil
	}
	p.lastHeard = now
	t.heard.MoveToBack(p.inHeard)
	if p.inQuiet != nil {
		t.quiet.MoveToBack(p.inQuiet)
	}
	return p
}

// admit makes a session of a new address, unless it is ignored or there is no
// place for another undelivered one. Past MaxSessions another has to go.
func (t *peers) admit(first *datagram.Packet, now time.Time) *peer {
	victim, ok := t.reserve(first.Addr, now)
	if victim != nil {
		victim.session.end(victim.session.errorAt("session", ErrTooManySessions))
	}
	if !ok {
		return nil
	}
	p := &peer{table: t, addr: first.Addr, lastHeard: now, local: first.Local, ifIndex: first.IfIndex}
	s := newSession(t.parent, p, t.l.set, t.l.reg)
	s.refs.Add(1) // admit's own: s does not finish before it has begun
	t.insert(p)   // before it is known to anybody who could end it or send by it
	if !t.l.reg.add(s) {
		t.remove(p)
		t.l.reg.left()
		return nil
	}
	s.connected(t.l.events)
	t.queue(s)
	s.release()
	return p
}

// queue makes offer deliver s, behind the others. Where MaxHandshakes bounds them
// not, those that have ended, to make room or idle, must not pile up.
func (t *peers) queue(s *Session) {
	t.mu.Lock()
	if n := len(t.undelivered); n > 0 && n >= t.tidyAt {
		// The first one may be under way.
		rest := slices.DeleteFunc(t.undelivered[1:], func(s *Session) bool { return s.over() })
		t.undelivered = t.undelivered[:1+len(rest)]
		t.tidyAt = max(tidyMin, 2*len(t.undelivered))
	}
	t.undelivered = append(t.undelivered, s)
	t.mu.Unlock()
	select {
	case t.arrival <- struct{}{}:
	default:
	}
}

// tidyMin is how many undelivered sessions are worth looking through.
const tidyMin = 64

// reserve reports whether addr may become a session, for which there is a place
// then. At MaxSessions one has to go for it, which is out of the table already:
// first those that were never answered, then the one that is idle for longest.
func (t *peers) reserve(addr netip.AddrPort, now time.Time) (victim *peer, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.l.set
	if set.MaxHandshakes > 0 && len(t.undelivered) >= set.MaxHandshakes ||
		t.ignored.has(addr, now) || !t.l.reg.reserve() {
		return nil, false
	}
	if set.MaxSessions > 0 && len(t.byAddr) >= set.MaxSessions {
		first := t.quiet.Front()
		if first == nil {
			first = t.heard.Front()
		}
		victim = first.Value.(*peer)
		t.forget(victim)
	}
	return victim, true
}

// insert takes p in.
func (t *peers) insert(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byAddr[p.addr] = p
	p.inHeard = t.heard.PushBack(p)
	p.inQuiet = t.quiet.PushBack(p)
	if d := t.l.set.IdleTimeout; d > 0 && t.timer == nil {
		t.timer = time.AfterFunc(d, t.expire)
	}
}

// remove is forget for those who do not hold mu.
func (t *peers) remove(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(p)
}

// forget takes p out, and reports whether it was in. The caller holds mu.
func (t *peers) forget(p *peer) bool {
	if t.byAddr[p.addr] != p {
		return false
	}
	delete(t.byAddr, p.addr)
	t.heard.Remove(p.inHeard)
	if p.inQuiet != nil {
		t.quiet.Remove(p.inQuiet)
	}
	return true
}

// ended takes p out, unless that is done: then it made room or was idle. Else it
// was closed, and what is still under way from its address must not make a new
// session of it.
func (t *peers) ended(p *peer) {
	t.mu.Lock()
	if d := t.l.set.CloseTimeout; t.forget(p) && d > 0 {
		t.ignored.add(p.addr, time.Now().Add(d))
	}
	t.mu.Unlock()
	t.letGo()
}

// answered notes that p was sent something: a forged address seldom is.
func (t *peers) answered(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byAddr[p.addr] == p {
		t.quiet.Remove(p.inQuiet)
		p.inQuiet = nil
	}
}

// expire ends the sessions that were idle for IdleTimeout, and waits for the
// next one to be: one timer for all.
func (t *peers) expire() {
	limit := t.l.set.IdleTimeout
	var idle []*peer
	t.mu.Lock()
	now := time.Now()
	for {
		first := t.heard.Front()
		if first == nil {
			t.timer = nil
			break
		}
		p := first.Value.(*peer)
		if left := limit - now.Sub(p.lastHeard); left > 0 {
			t.timer.Reset(left)
			break
		}
		t.forget(p)
		idle = append(idle, p)
	}
	t.mu.Unlock()
	for _, p := range idle {
		p.session.end(p.session.errorAt("session", &timeoutError{"IdleTimeout", limit}))
	}
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
