package chanio

import (
	"hash/maphash"
	"sync"
	"time"
)

// A peerTable holds the peers of a udp listener and decides which to evict
// first.
type peerTable struct {
	seed maphash.Seed

	mu     sync.Mutex // not held across anything that blocks or while a session ends
	byHash map[uint32]*peer
	heard  peerList    // all in byHash, longest idle first
	quiet  peerList    // those never answered, in the same order
	known  int         // peers in byHash
	alive  int         // peers that may still have something to send, including some no longer known
	timer  *time.Timer // the next IdleTimeout; nil while there are no peers
	closed bool        // no more peers are admitted
}

// A place is a peer's position in the table. The table's mu guards it.
type place struct {
	lastHeard    moment
	heard, quiet peerLinks
	next         *peer // the next peer with the same hash
	in           bool  // it is in byHash and heard
	unanswered   bool  // it is in quiet
	alive        bool  // it counts as alive
}

// A peerList links peers through one of their peerLinks. container/list takes
// three times the memory.
type peerList struct{ first, last *peer }

type peerLinks struct{ before, after *peer }

func heardLinks(p *peer) *peerLinks { return &p.place.heard }
func quietLinks(p *peer) *peerLinks { return &p.place.quiet }

func (l *peerList) pushBack(p *peer, links func(*peer) *peerLinks) {
	*links(p) = peerLinks{before: l.last}
	if l.last == nil {
		l.first = p
	} else {
		links(l.last).after = p
	}
	l.last = p
}

func (l *peerList) remove(p *peer, links func(*peer) *peerLinks) {
	at := links(p)
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

func newPeerTable() peerTable {
	return peerTable{seed: maphash.MakeSeed(), byHash: make(map[uint32]*peer)}
}

func (t *peerTable) hash(key *peerKey) uint32 { return uint32(maphash.Comparable(t.seed, *key)) }

// find returns the peer with that key. A map by key would take 100 bytes per
// peer more than a map by hash. The caller holds mu.
func (t *peerTable) find(key *peerKey) *peer {
	p := t.byHash[t.hash(key)]
	for p != nil && p.key != *key {
		p = p.next
	}
	return p
}

// hear returns the peer with that key and records that it was heard from now.
func (t *peerTable) hear(key *peerKey, now moment) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.find(key)
	if p == nil {
		return nil
	}
	p.lastHeard = now
	t.heard.remove(p, heardLinks)
	t.heard.pushBack(p, heardLinks)
	if p.unanswered {
		t.quiet.remove(p, quietLinks)
		t.quiet.pushBack(p, quietLinks)
	}
	return p
}

// insert adds p unless another peer has its key or the table is closed. It
// reports whether it did.
func (t *peerTable) insert(p *peer, now moment) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.find(&p.key) != nil {
		return false
	}
	hash := t.hash(&p.key)
	p.next = t.byHash[hash]
	t.byHash[hash] = p
	p.lastHeard, p.in, p.unanswered, p.alive = now, true, true, true
	t.known++
	t.alive++
	t.heard.pushBack(p, heardLinks)
	t.quiet.pushBack(p, quietLinks)
	return true
}

// forget removes p, which frees its key. The caller holds mu.
func (t *peerTable) forget(p *peer) {
	if !p.in {
		return
	}
	hash := t.hash(&p.key)
	switch first := t.byHash[hash]; {
	case first != p:
		for first.next != p {
			first = first.next
		}
		first.next = p.next
	case p.next == nil:
		delete(t.byHash, hash)
	default:
		t.byHash[hash] = p.next
	}
	p.in, p.next = false, nil
	t.known--
	t.heard.remove(p, heardLinks)
	t.reply(p)
}

// reply removes p from the quiet peers. The caller holds mu.
func (t *peerTable) reply(p *peer) {
	if p.unanswered {
		p.unanswered = false
		t.quiet.remove(p, quietLinks)
	}
}

// gone records that p has nothing more to send. The caller holds mu.
func (t *peerTable) gone(p *peer) {
	if p.alive {
		p.alive = false
		t.alive--
	}
}

// remove is forget for callers that do not hold mu. It reports whether more
// peers may be admitted.
func (t *peerTable) remove(p *peer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(p)
	return !t.closed
}

// answered records that p was sent something, which seldom happens to a forged
// address.
func (t *peerTable) answered(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reply(p)
}

// victim removes and returns the peer to evict first: the longest idle of those
// never answered or, if there are none, of all. It returns nil if all live peers
// are closing. The caller holds mu.
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
