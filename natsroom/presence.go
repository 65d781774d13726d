package natsroom

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// A peer is another node, as its presence messages tell of it. Each node alone
// says what its rooms have, in numbered messages of what changed: after a hole
// it is asked to tell all again.
type peer struct {
	seq    uint64 // of its last message
	synced bool   // no message is missing since it told all
	heard  time.Time
}

// maxPeers bounds what is remembered of other nodes.
const maxPeers = 1 << 14

// maxPresence bounds a presence message, in bytes: more goes in several.
const maxPresence = 32 << 10

// hear takes in a presence message. The dispatcher calls it.
func (n *node) hear(b []byte) {
	p, err := parsePresence(b)
	if err != nil {
		return // of another version, or not a node: there is nobody to tell
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.node == n.number {
		n.heardSelf.Do(func() { close(n.ready) })
	} else if !n.follow(&p, now) {
		return
	}
	for _, e := range p.entries {
		r := n.rooms[e.name]
		if r == nil {
			continue
		}
		if p.node != n.number {
			r.setOthers(p.node, e.members)
		}
		r.hearMark(&p, &e)
	}
	if p.node == n.number {
		return
	}
	tell := p.flags&presenceAskAll != 0
	n.reset = n.reset || tell
	for _, name := range p.asks {
		if r := n.rooms[name]; r != nil {
			n.dirty[r] = struct{}{}
			tell = true
		}
	}
	if tell {
		n.look()
	}
}

// hearMark has the room look whether it has all that e counts. A mark of another
// kind of room, or of a stream that is no more, says nothing.
func (r *Room) hearMark(p *presence, e *entry) {
	switch {
	case (e.flags&entryHistory != 0) != (r.outbox != nil):
	case r.outbox != nil && p.stream != uint64(r.node.stream.epoch.Load()):
	case !r.inbox.push(item{mark: e.mark, source: e.source}, r.work):
		r.resync.Store(true)
	}
}

// follow notes that p came from another node, and reports whether that is one to
// listen to. The caller holds mu.
func (n *node) follow(p *presence, now time.Time) bool {
	from := n.peers[p.node]
	if p.flags&presenceBye != 0 {
		if from != nil {
			n.forgetPeer(p.node)
		}
		return false
	}
	if from == nil {
		if len(n.peers) >= maxPeers {
			return false
		}
		from = new(peer)
		n.peers[p.node] = from
	}
	from.heard = now
	switch {
	case p.flags&presenceReset != 0:
		for _, r := range n.rooms {
			r.setOthers(p.node, 0)
		}
		from.synced = true
	case p.seq != from.seq+1:
		from.synced = false
	}
	from.seq = p.seq
	if !from.synced {
		n.askAll = true // with the next message
	}
	return true
}

// setOthers notes how many members another node has. The caller holds the
// node's mu.
func (r *Room) setOthers(id number, members uint64) {
	if members == 0 {
		delete(r.others, id)
		return
	}
	if r.others == nil {
		r.others = make(map[number]uint64)
	}
	r.others[id] = members
}

// othersIn returns how many members r has on the nodes that were heard lately.
func (n *node) othersIn(r *Room) (members int) {
	now := time.Now()
	n.mu.RLock()
	defer n.mu.RUnlock()
	for id, m := range r.others {
		if p := n.peers[id]; p != nil && now.Sub(p.heard) < silentAfter {
			members += int(m)
		}
	}
	return members
}

// forgetSilent forgets the nodes that are silent, and reports whether there
// were any.
func (n *node) forgetSilent(now time.Time) (died bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.peers {
		if now.Sub(p.heard) >= silentAfter {
			n.forgetPeer(id)
			died = true
		}
	}
	return died
}

// forgetPeer forgets a node. The caller holds mu.
func (n *node) forgetPeer(id number) {
	delete(n.peers, id)
	for _, r := range n.rooms {
		delete(r.others, id)
	}
}

// announce tells the others what changed; if alive is set at least that the node
// lives.
func (n *node) announce(alive bool) {
	if !n.nc.IsConnected() {
		return // all is told once it is
	}
	n.mu.Lock()
	if !alive && !n.reset && !n.askAll && len(n.dirty) == 0 && len(n.asks) == 0 {
		n.mu.Unlock()
		return
	}
	reset, askAll := n.reset, n.askAll
	n.reset, n.askAll = false, false
	var changed []*Room
	for r := range n.dirty {
		if !reset || n.rooms[r.name] == nil {
			changed = append(changed, r)
		}
	}
	clear(n.dirty)
	if reset {
		for _, r := range n.rooms {
			changed = append(changed, r)
		}
	}
	var asks []string
	for name := range n.asks {
		asks = append(asks, name)
	}
	clear(n.asks)
	n.mu.Unlock()

	var p presence
	if reset {
		p.flags |= presenceReset
	}
	if askAll {
		p.flags |= presenceAskAll
	}
	size := 0
	next := func(n2 int) {
		if size += n2 + 64; size > maxPresence {
			n.tell(p)
			p, size = presence{}, 0
		}
	}
	for _, r := range changed {
		p.entries = append(p.entries, r.entry())
		next(len(r.name))
	}
	for _, name := range asks {
		p.asks = append(p.asks, name)
		next(len(name))
	}
	n.tell(p)
}

// tell publishes p. What is lost makes a hole in the numbers, and is asked for.
func (n *node) tell(p presence) {
	n.seq++
	p.node, p.seq, p.stream = n.number, n.seq, uint64(n.stream.epoch.Load())
	err := n.nc.Publish(n.nodesSubject(), p.append(nil))
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		n.mu.Lock()
		n.reset = true
		n.mu.Unlock()
	}
}

// entry returns what the node tells of r. All that the mark counts was given to
// the connection before.
func (r *Room) entry() entry {
	e := entry{name: r.name, source: r.source}
	if !isClosed(r.closing) {
		e.members = uint64(r.hub.Len())
	}
	if r.outbox != nil {
		e.flags |= entryHistory
		e.mark = r.outbox.lastStored()
	} else {
		e.mark = r.publishing.mark()
	}
	return e
}
