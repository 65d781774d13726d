package chanio

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/datagram"
)

// peers is the source of a udp listener: it makes a session for each pair of
// addresses that datagrams come from and go to. The listener's run receives;
// each session's writer sends by itself.
type peers struct {
	l       *Listener
	parent  context.Context // the sessions' contexts inherit its values
	conn    *datagram.Conn
	turned  atomic.Int64  // datagrams of peers that could not become sessions, or no longer were
	arrival chan struct{} // one slot: wakes offer to look at undelivered; sent and closed under the table's mu

	peerTable

	// Guarded by the table's mu.
	undelivered []*Session // not yet received from Sessions
	tidyAt      int        // how many undelivered to have before removing those that have ended
	offered     bool       // arrival is closed: nothing more is offered
	serving     bool       // serve has not returned, so the socket is in use
	draining    bool       // serve ends with the last session
}

// peerSettings resolves the options of a udp listener.
func peerSettings(ctx context.Context, network string, o *Options) (*settings, error) {
	set, err := datagramSettings(ctx, "listen", network, o)
	if err == nil {
		peersOf(set)
	}
	return set, err
}

// peersOf adapts set to what a udp listener needs.
func peersOf(set *settings) {
	set.RecvQueue = max(1, set.RecvQueue) // the first message arrives with the session
	set.ManualJoin = true
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
		parent:    ctx,
		conn:      conn,
		arrival:   make(chan struct{}, 1),
		peerTable: newPeerTable(),
		serving:   true,
	}
}

func (t *peers) addr() net.Addr { return udpAddr(t.conn.LocalAddr()) }

// serve receives until interrupt or an error of the socket; for interrupt it
// returns nil.
func (t *peers) serve(_ context.Context, l *Listener, quit <-chan struct{}) error {
	t.l = l
	var offering sync.WaitGroup
	offering.Go(func() { t.offer(quit) })
	err := t.conn.Receive(t.deliver)
	t.mu.Lock()
	t.offered = true
	close(t.arrival)
	t.mu.Unlock()
	if err != nil {
		l.endServing() // otherwise offer would wait for sessions to be received
	}
	offering.Wait()
	t.mu.Lock()
	t.closed, t.serving = true, false
	t.mu.Unlock()
	t.letGo()
	return wrapOp("read", "udp", t.addr(), nil, err)
}

// offer delivers new sessions. serve starts it; it ends when serve does.
func (t *peers) offer(quit <-chan struct{}) {
	for open := true; open; _, open = <-t.arrival {
		for s := t.firstUndelivered(); s != nil; s = t.firstUndelivered() {
			t.l.deliver(s, quit)
			s.tr.(*peer).delivered()
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

// interrupt ends serve. Sessions can still send.
func (t *peers) interrupt() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.conn.StopReceiving()
}

// drain stops admitting peers; serve goes on for the existing ones.
func (t *peers) drain() {
	t.mu.Lock()
	t.closed, t.draining = true, true
	t.mu.Unlock()
	t.letGo()
}

// letGo closes the socket once no session has anything to send: the writer of an
// aborted session may still be waiting for room in the kernel.
func (t *peers) letGo() {
	t.mu.Lock()
	idle := !t.serving && t.alive == 0
	drained := t.serving && t.draining && t.alive == 0
	if idle && t.timer != nil {
		t.timer.Stop() // otherwise it would retain the table until it fires
	}
	t.mu.Unlock()
	switch {
	case idle:
		t.conn.Close()
	case drained:
		t.conn.StopReceiving()
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

// deliver hands the datagrams to their peers' sessions. A run of datagrams from
// one peer, as GRO produces, costs one lookup.
func (t *peers) deliver(batch []datagram.Packet) bool {
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].Addr == batch[0].Addr && batch[n].Local == batch[0].Local {
			n++
		}
		t.deliverRun(batch[:n], false)
		batch = batch[n:]
	}
	return true
}

// deliverRun hands datagrams of one pair of addresses to its session and begins
// one if there is none. If again is set, they come from a session that was
// closed, and the new one may hold them all: they were within the bounds.
func (t *peers) deliverRun(run []datagram.Packet, again bool) {
	now, key := t.l.set.now(), keyOf(&run[0])
	for {
		p, born := t.hear(&key, now), false
		if p == nil {
			p, born = t.admit(&run[0], now, again)
		}
		if p == nil {
			t.turned.Add(int64(len(run)))
			return
		}
		run = p.receive(run, again)
		if born { // only now, so that the first message is there when it is delivered
			t.queue(p.session)
			p.session.release()
		}
		if len(run) == 0 {
			return
		}
		// The session has begun to close and is out of the table.
	}
}

// admit makes a session for a new pair of addresses, unless there is no room for
// another undelivered one. Past MaxSessions it evicts another. Closing sessions
// call admit too; of two concurrent calls, the second returns the first one's
// peer. If born is set, the caller must queue the session and then release it.
func (t *peers) admit(first *datagram.Packet, now moment, again bool) (p *peer, born bool) {
	victim, ok := t.reserve()
	if victim != nil {
		victim.session.end(victim.session.errorAt("session", ErrTooManySessions))
	}
	if !ok {
		return nil, false
	}
	p = &peer{table: t, key: keyOf(first), ifIndex: int32(first.IfIndex), queue: peerQueue{open: again}}
	s := newSession(t.parent, p, t.l.set, t.l.reg)
	s.refs.Add(1) // until it is queued, so that s does not finish before it has begun
	// Before anything else can end the session or send through it:
	if !t.insert(p, now) {
		t.l.reg.left()
		return t.hear(&p.key, now), false
	}
	t.startTimer()
	if !t.l.reg.add(s) {
		t.remove(p)
		t.ended(p)
		t.l.reg.left()
		return nil, false
	}
	s.connected(t.l.events)
	return p, true
}

// queue makes offer deliver s after the others. A session that another one's Close
// began may come too late for that. If MaxHandshakes does not bound them, sessions
// that were evicted or ended idle must not pile up.
func (t *peers) queue(s *Session) {
	t.mu.Lock()
	if t.offered {
		t.mu.Unlock()
		s.abort(ErrClosed)
		return
	}
	if n := len(t.undelivered); n > 0 && n >= t.tidyAt {
		// offer may be delivering the first one.
		rest := slices.DeleteFunc(t.undelivered[1:], func(s *Session) bool { return s.over() })
		t.undelivered = t.undelivered[:1+len(rest)]
		t.tidyAt = max(tidyMin, 2*len(t.undelivered))
	}
	t.undelivered = append(t.undelivered, s)
	select {
	case t.arrival <- struct{}{}:
	default:
	}
	t.mu.Unlock()
}

// tidyMin is the fewest undelivered sessions worth looking through.
const tidyMin = 64

// reserve reports whether there is room for another session. At MaxSessions it
// takes a victim out of the table, which the caller must end.
func (t *peers) reserve() (victim *peer, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.l.set
	if t.closed || set.MaxHandshakes > 0 && len(t.undelivered) >= set.MaxHandshakes {
		return nil, false
	}
	if set.MaxSessions > 0 && t.alive >= set.MaxSessions {
		if victim = t.victim(); victim == nil {
			return nil, false // all are closing
		}
	}
	return victim, t.l.reg.reserve()
}

// startTimer starts the timer of IdleTimeout if it is not running.
func (t *peers) startTimer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.l.set.IdleTimeout; d > 0 && t.timer == nil {
		t.timer = time.AfterFunc(d, t.expire)
	}
}

// ended records that the session of p has ended, and releases the socket after
// the last one.
func (t *peers) ended(p *peer) {
	t.mu.Lock()
	t.gone(p)
	t.mu.Unlock()
	t.letGo()
}

// expire ends the sessions that were idle for IdleTimeout and sets the timer for
// the next one. All sessions share one timer.
func (t *peers) expire() {
	limit := t.l.set.IdleTimeout
	var idle []*peer
	t.mu.Lock()
	now := t.l.set.now()
	for {
		p := t.heard.first
		if p == nil {
			t.timer = nil
			break
		}
		if left := limit - time.Duration(now-p.lastHeard); left > 0 {
			t.timer.Reset(left)
			break
		}
		t.forget(p)
		t.gone(p)
		idle = append(idle, p)
	}
	t.mu.Unlock()
	for _, p := range idle {
		p.session.end(p.session.errorAt("session", &timeoutError{"IdleTimeout", limit}))
	}
}
