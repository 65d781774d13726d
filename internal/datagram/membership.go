package datagram

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// ErrInterfaceGone says why a socket is no longer a member of a group.
var ErrInterfaceGone = errors.New("the interface has gone")

// joinedGroups are the groups that a socket has joined, and on which interfaces.
type joinedGroups struct {
	mu  sync.Mutex
	all []*joinedGroup
	out sendInterface
}

// A joinedGroup is a membership that outlives its interface.
type joinedGroup struct {
	group   netip.Addr
	sources []netip.Addr // the only sources received; nil means all
	chosen  bool         // the system chose the interface
	name    string       // of the interface; if unknown, "", and never looked for
	index   int          // of the interface; 0 while it is away
	failed  bool         // rejoining has failed, and that was reported
}

// A sendInterface is the outgoing interface for groups, if the user has set one.
type sendInterface struct {
	name  string
	index int
}

// A Renewal reports a change of a membership. Err is ErrInterfaceGone, the
// reason why the membership could not be renewed, or nil if it was.
type Renewal struct {
	Group     netip.Addr
	Interface string
	Err       error
}

// find returns the membership of group that was requested with ifi.
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

// add records that group was joined on ifi, only for what source sends if source
// is valid.
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

// RenewGroups checks the interfaces of the joined groups. It leaves groups on
// interfaces that are gone and rejoins them on those that have come back. It
// returns what has changed and whether an interface is away.
func (c *Conn) RenewGroups() (changed []Renewal, away bool) {
	j := &c.joined
	j.mu.Lock()
	defer j.mu.Unlock()
	c.renewSending()
	for _, g := range j.all {
		if g.name == "" {
			continue
		}
		index, gone, err := c.check(g)
		if err != nil {
			return changed, false // the socket is closed
		}
		if gone {
			changed = append(changed, Renewal{g.group, g.name, ErrInterfaceGone})
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

// check returns the index that g's interface has now, or 0, and whether that is
// news: the interface on which g was joined has gone.
func (c *Conn) check(g *joinedGroup) (index int, gone bool, err error) {
	index, err = c.linkIndex(g.name)
	if err != nil || g.index == 0 || g.index == index {
		return index, false, err
	}
	c.leave(g.group, g.index) // to the kernel, what remains of the membership counts
	g.index, g.failed = 0, false
	return index, true, nil
}

// resume is Join for a group whose interface was away, if that is back and
// RenewGroups does not know it yet: it then finds the group joined.
func (c *Conn) resume(g *joinedGroup, source netip.Addr, ifi *net.Interface) error {
	before := *g
	g.name, g.failed = ifi.Name, false
	switch {
	case !source.IsValid():
		g.sources = nil
	case !slices.Contains(g.sources, source):
		g.sources = append(slices.Clip(g.sources), source)
	}
	err := c.rejoin(g, ifi.Index)
	if err != nil {
		*g = before
	}
	return err
}

// rejoin joins g again on the interface with that index.
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

// renewSending sets the outgoing interface for groups again if it has come back
// with another index.
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
		return // tried again later
	}
	out.index = index
}

// leave leaves group on an interface that may be gone. An error is ignored: it
// means that the socket is not a member.
func (c *Conn) leave(group netip.Addr, index int) {
	if m, err := c.memberships(group); err == nil {
		m.LeaveGroup(&net.Interface{Index: index}, udpAddr(group))
	}
}

// forget removes g, which was left.
func (j *joinedGroups) forget(g *joinedGroup) {
	j.all = slices.DeleteFunc(j.all, func(other *joinedGroup) bool { return other == g })
}
