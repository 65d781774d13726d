package chanio

import (
	"hash/maphash"
	"sync"
	"time"
)

// A peerTable knows the peers of a udp listener, and which of them is to go first.
type peerTable struct {
	began time.Time // what moments count from
	seed  maphash.Seed

	mu     sync.Mutex // never held across anything that blocks, nor while a session ends
	byHash map[uint32]*peer
	heard  peerList    // of all in byHash, the one idle for longest first
	quiet  peerList    // of those that were never answered, in the same order
	known  int         // peers in byHash
	alive  int         // peers that may still have something to send: more than are known
	timer  *time.Timer // the next IdleTimeout; nil while there are no peers
	closed bool        // there will be no more peers
}

// A place is where a peer is in the table. The table's mu guards it.
type place struct {
	lastHeard    moment
	heard, quiet peerLinks
	next         *peer // with the same hash
	in           bool  // it is in byHash and heard
	unanswered   bool  // it is in quiet
	alive        bool  // it counts as alive
}

// A peerList is a list of peers through one of their links: container/list takes
// three times the memory.
type peerList struct{ first, last *peer }

type peerLinks struct{ before, after *peer }

func heardLinks(p *peer) *peerLinks { return &p.place.heard }
func quietLinks(p *peer) *peerLinks { return &p.place.quiet }

// pushBack adds p as the last.
func (l *peerList) pushBack(p *peer, links func(*peer) *peerLinks) {
	*links(p) = peerLinks{before: l.last}
	if l.last == nil {
		l.first = p
	} else {
		links(l.last).after = p
	}
	l.last = p
}

// remove takes p out.
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
	return peerTable{began: time.Now(), seed: maphash.MakeSeed(), byHash: make(map[uint32]*peer)}
}

// now is the present as a moment.
func (t *peerTable) now() moment { return int64(time.Since(t.began)) }

func (t *peerTable) hash(key *peerKey) uint32 { return uint32(maphash.Comparable(t.seed, *key)) }

// find returns the peer with that key. A map of keys would take 100 bytes a peer more
// than one of their hashes. The caller holds mu.
func (t *peerTable) find(key *peerKey) *peer {
	p := t.byHash[t.hash(key)]
	for p != nil && p.key != *key {
		p = p.next
	}
	return p
}

// hear returns the peer with that key, which was heard now.
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

// insert takes p in, unless another one has its key or the table is closed.
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

// forget takes p out, so that its key is free. The caller holds mu.
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

// reply notes that p is not to be among the quiet any more. The caller holds mu.
func (t *peerTable) reply(p *peer) {
	if p.unanswered {
		p.unanswered = false
		t.quiet.remove(p, quietLinks)
	}
}

// gone notes that p has nothing to send any more. The caller holds mu.
func (t *peerTable) gone(p *peer) {
	if p.alive {
		p.alive = false
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
	t.reply(p)
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
