package chanio

import (
	"sync"
	"time"
)

// A peerTable knows the peers of a udp listener, and which of them is to go first.
type peerTable struct {
	mu     sync.Mutex // never held across anything that blocks, nor while a session ends
	byAddr map[peerKey]*peer
	heard  peerList    // of all in byAddr, the one idle for longest first
	quiet  peerList    // of those that were never answered, in the same order
	alive  int         // peers that may still have something to send: more than there are in byAddr
	timer  *time.Timer // the next IdleTimeout; nil while there are no peers
	closed bool        // there will be no more peers
}

// A place is where a peer is in the table. The table's mu guards it.
type place struct {
	lastHeard time.Time
	in        bool // it is in byAddr and heard
	alive     bool // it counts as alive
	heard     peerLinks
	quiet     peerLinks
}

// A peerList is a list of peers through one of their links: container/list takes
// three times the memory.
type peerList struct{ first, last *peer }

type peerLinks struct {
	before, after *peer
	in            bool
}

func heardLinks(p *peer) *peerLinks { return &p.place.heard }
func quietLinks(p *peer) *peerLinks { return &p.place.quiet }

// pushBack adds p as the last.
func (l *peerList) pushBack(p *peer, links func(*peer) *peerLinks) {
	*links(p) = peerLinks{before: l.last, in: true}
	if l.last == nil {
		l.first = p
	} else {
		links(l.last).after = p
	}
	l.last = p
}

// remove takes p out, if it is in.
func (l *peerList) remove(p *peer, links func(*peer) *peerLinks) {
	at := links(p)
	if !at.in {
		return
	}
	if at.before == nil {
		l.first = at.after
	} else {
		links(at.before).after = at.after
	}
	if at.after == nil {
		l.last = at.before
	} else {
		links(at.after).before = at.before
	}
	*at = peerLinks{}
}

// known returns the peer with that key, which was heard now.
func (t *peerTable) known(key peerKey, now time.Time) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.byAddr[key]
	if p == nil {
		return nil
	}
	p.lastHeard = now
	t.heard.remove(p, heardLinks)
	t.heard.pushBack(p, heardLinks)
	if p.place.quiet.in {
		t.quiet.remove(p, quietLinks)
		t.quiet.pushBack(p, quietLinks)
	}
	return p
}

// insert takes p in, unless another one has its key or the table is closed.
func (t *peerTable) insert(p *peer, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.byAddr[p.key] != nil {
		return false
	}
	t.byAddr[p.key] = p
	p.lastHeard, p.place.in, p.place.alive = now, true, true
	t.alive++
	t.heard.pushBack(p, heardLinks)
	t.quiet.pushBack(p, quietLinks)
	return true
}

// forget takes p out, so that its key is free. The caller holds mu.
func (t *peerTable) forget(p *peer) {
	if p.place.in {
		delete(t.byAddr, p.key)
		t.heard.remove(p, heardLinks)
		t.quiet.remove(p, quietLinks)
		p.place.in = false
	}
}

// gone notes that p has nothing to send any more. The caller holds mu.
func (t *peerTable) gone(p *peer) {
	if p.place.alive {
		p.place.alive = false
		t.alive--
	}
}

// remove is forget for those who do not hold mu. It reports whether there may be
// more peers.
func (t *peerTable) remove(p *peer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(p)
	return !t.closed
}

// answered notes that p was sent something: a forged address seldom is.
func (t *peerTable) answered(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quiet.remove(p, quietLinks)
}

// victim takes the peer out that has to go first: of those that were never
// answered, else of all, the one that is idle for longest. It is nil if all that
// live are closing. The caller holds mu.
func (t *peerTable) victim() *peer {
	p := t.quiet.first
	if p == nil {
		p = t.heard.first
	}
	if p != nil {
		t.forget(p)
		t.gone(p)
	}
	return p
}
