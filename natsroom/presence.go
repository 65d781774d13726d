package natsroom

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// A peer is another node, as known from its presence messages. Only a node
// itself reports what its rooms have, in numbered messages of what changed.
// After a gap it is asked to send everything again.
type peer struct {
	seq    uint64 // of its last message
	synced bool   // no message is missing since it sent everything
	heard  time.Time
}

// maxPeers bounds how many other nodes are remembered.
const maxPeers = 1 << 14

// maxPresence bounds a presence message, in bytes; more is split into several.
const maxPresence = 32 << 10

// hear processes a presence message. The dispatcher calls it.
func (n *node) hear(b []byte) {
	p, err := parsePresence(b)
	if err != nil {
		return // another version, or not a node: there is no node to tell
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

// hearMark makes the room check that it has everything that e counts. A mark of
// another kind of room, or of a stream that no longer exists, means nothing.
func (r *Room) hearMark(p *presence, e *entry) {
	switch {
	case (e.flags&entryHistory != 0) != (r.outbox != nil):
	case r.outbox != nil && p.stream != uint64(r.node.stream.epoch.Load()):
	case !r.inbox.push(item{mark: e.mark, source: e.source}, r.work):
		r.resync.Store(true)
	}
}

// follow records that p came from another node and reports whether to listen to
// that node. The caller holds mu.
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

// setOthers records how many members another node has. The caller holds the
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

// othersIn returns how many members r has on other nodes that were heard from
// recently.
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

// forgetSilent forgets the silent nodes and reports whether there were any.
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

func (n *node) forgetPeer(id number) {
	delete(n.peers, id)
	for _, r := range n.rooms {
		delete(r.others, id)
	}
}

// announce tells the other nodes what changed or, if alive is set, at least that
// this node is alive.
func (n *node) announce(alive bool) {
	if !n.nc.IsConnected() {
		return // everything is sent once it is
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

// tell publishes p. A lost message leaves a gap in the numbers and is asked for.
func (n *node) tell(p presence) {
	n.seq++
	n.told = time.Now()
	p.node, p.seq, p.stream = n.number, n.seq, uint64(n.stream.epoch.Load())
	err := n.nc.Publish(n.nodesSubject(), p.append(nil))
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		n.mu.Lock()
		n.reset = true
		n.mu.Unlock()
	}
}

// entry returns what the node reports of r. Everything that the mark counts was
// given to the connection before.
func (r *Room) entry() entry {
	e := entry{name: r.name, source: r.source}
	if !isClosed(r.closing) {
		e.members = uint64(r.hub.Len())
	}
	if r.outbox != nil {
		e.flags |= entryHistory
		if r.node.checked == r.node.nc.Stats().Reconnects { // else the stream may have lost that position
			e.mark = r.outbox.mark()
		}
	} else {
		e.mark = r.publishing.mark()
	}
	return e
}
