package datagram

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// ErrInterfaceGone says why a socket is no member of a group any more.
var ErrInterfaceGone = errors.New("the interface has gone")

// joinedGroups are the groups that a socket is a member of, and where.
type joinedGroups struct {
	mu  sync.Mutex
	all []*joinedGroup
	out sendInterface
}

// A joinedGroup is a membership that outlives its interface.
type joinedGroup struct {
	group   netip.Addr
	sources []netip.Addr // those that are received, if not all are
	chosen  bool         // by the system
	name    string       // of the interface; "" if it is unknown, and never looked for
	index   int          // of the interface; 0 while it is away
	failed  bool         // joining on it again has, and that was told
}

// A sendInterface is where what is sent to groups leaves, if the user has said so.
type sendInterface struct {
	name  string
	index int
}

// A Renewal is what became of a membership: Err is ErrInterfaceGone, why it could not
// be renewed, or nil if it was.
type Renewal struct {
	Group     netip.Addr
	Interface string
	Err       error
}

// find returns the membership in group that was asked for with ifi.
func (j *joinedGroups) find(group netip.Addr, ifi *net.Interface) *joinedGroup {
	for _, g := range j.all {
		switch {
		case g.group != group:
		case ifi == nil && g.chosen,
			ifi != nil && g.name != "" && g.name == ifi.Name,
			ifi != nil && g.index != 0 && g.index == ifi.Index:
			return g
		}
	}
	return nil
}

// add notes that group was joined on ifi, for what source sends if it is valid.
func (j *joinedGroups) add(group, source netip.Addr, ifi *net.Interface, chosen bool) {
	g := j.find(group, ifi)
	if g == nil {
		g = &joinedGroup{group: group, chosen: chosen}
		if ifi != nil {
			g.name, g.index = ifi.Name, ifi.Index
		}
		j.all = append(j.all, g)
	}
	if source.IsValid() {
		g.sources = append(g.sources, source)
	}
}

// RenewGroups looks at the interfaces of the groups that were joined, leaves what has
// gone and joins on what has come. It returns what has changed, and whether an
// interface is away.
func (c *Conn) RenewGroups() (changed []Renewal, away bool) {
	j := &c.joined
	j.mu.Lock()
	defer j.mu.Unlock()
	c.renewSending()
	for _, g := range j.all {
		if g.name == "" {
			continue
		}
		index, err := c.linkIndex(g.name)
		if err != nil {
			return changed, false // the socket is closed
		}
		name := g.name
		if g.index != 0 && g.index != index {
			c.leave(g.group, g.index) // what is left of it counts, for the kernel
			g.index, g.failed = 0, false
			changed = append(changed, Renewal{g.group, name, ErrInterfaceGone})
		}
		if g.chosen && index == 0 {
			if ifi := c.systemsInterface(g.group); ifi != nil && ifi.Name != g.name {
				g.name, index = ifi.Name, ifi.Index
			}
		}
		if g.index == 0 && index != 0 {
			if err := c.rejoin(g, index); err == nil || !g.failed {
				g.failed = err != nil
				changed = append(changed, Renewal{g.group, g.name, err})
			}
		}
		away = away || g.index == 0
	}
	return changed, away
}

// rejoin joins g anew on the interface with that index.
func (c *Conn) rejoin(g *joinedGroup, index int) error {
	ifi := &net.Interface{Name: g.name, Index: index}
	sources := g.sources
	if sources == nil {
		sources = []netip.Addr{{}}
	}
	for _, source := range sources {
		if err := c.join(g.group, source, ifi); err != nil {
			c.leave(g.group, index)
			return err
		}
	}
	g.index = index
	return nil
}

// renewSending chooses the interface that what is sent to groups leaves by again,
// where it has come back with another index.
func (c *Conn) renewSending() {
	out := &c.joined.out
	if out.name == "" {
		return
	}
	index, err := c.linkIndex(out.name)
	if err != nil || index == 0 || index == out.index {
		return
	}
	ifi := &net.Interface{Name: out.name, Index: index}
	if c.ip4 != nil && c.ip4.SetMulticastInterface(ifi) != nil ||
		c.ip6 != nil && c.ip6.SetMulticastInterface(ifi) != nil {
		return // to be tried again
	}
	out.index = index
}

// leave leaves group on an interface that may have gone. There is nothing to do
// about an error: then it is no member.
func (c *Conn) leave(group netip.Addr, index int) {
	if m, err := c.memberships(group); err == nil {
		m.LeaveGroup(&net.Interface{Index: index}, udpAddr(group))
	}
}

// forget forgets g, which was left.
func (j *joinedGroups) forget(g *joinedGroup) {
	j.all = slices.DeleteFunc(j.all, func(other *joinedGroup) bool { return other == g })
}
