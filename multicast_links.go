package chanio

import (
	"fmt"
	"net/netip"

	"example.com/chanio/internal/datagram"
)

// watchLinks starts watching the interfaces of the endpoint's groups, once there
// is a group.
func (p *PacketConn) watchLinks() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links == nil && !p.refusing {
		p.links = datagram.WatchLinks()
		go p.linkLoop(p.links)
	}
}

// linkLoop renews memberships whose interface has come back and reports that.
// watchLinks starts it; it ends when the endpoint stops receiving.
func (p *PacketConn) linkLoop(links *datagram.LinkWatch) {
	defer close(p.linksDone)
	for {
		changed, away := p.conn.RenewGroups()
		for _, r := range changed {
			p.renewed(r)
		}
		if !links.Wait(away) {
			return
		}
	}
}

// renewed reports a change of a membership.
func (p *PacketConn) renewed(r datagram.Renewal) {
	if r.Err == nil {
		p.events.emit(Event{Kind: EventJoined})
		return
	}
	err := fmt.Errorf("group %v on interface %q: %w", r.Group, r.Interface, r.Err)
	p.events.emit(Event{Kind: EventFailed, Err: p.errorAt("join", netip.AddrPort{}, err)})
}
