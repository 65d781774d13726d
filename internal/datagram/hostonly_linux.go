package datagram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// hostOnly keeps datagrams to groups with a TTL of 0 on the host. Linux honors
// that TTL only on an interface on which the host is a member of the group;
// elsewhere the datagram leaves the host anyway. So hostOnly joins each group
// that is sent to and pins the interface.
type hostOnly struct {
	none bool // not even to the host's own members: send nothing

	local netip.Addr     // the address that the sending socket is bound to
	ifi   *net.Interface // the outgoing interface; nil is the system's choice

	// These sockets exist only to join groups. They are bound to an ephemeral
	// port that no one sends to.
	joins4, joins6 *Conn

	mu      sync.Mutex
	members map[membership]bool
	chosen  map[netip.Addr]int // the interface that the system chooses for a group
}

// A membership is a group on an interface.
type membership struct {
	group   netip.Addr
	ifIndex int
}

// maxMemberships bounds how many groups are joined at a time. The kernel lets a
// socket join 20.
const maxMemberships = 16

func newHostOnly(c *Conn, m Multicast) (*hostOnly, error) {
	h := &hostOnly{
		none:    m.NoLoopback,
		local:   c.local.Addr(),
		ifi:     m.Interface,
		members: make(map[membership]bool),
		chosen:  make(map[netip.Addr]int),
	}
	var err4, err6 error
	if c.ip4 != nil {
		h.joins4, err4 = Listen(context.Background(), "udp4", "0.0.0.0:0", Config{OneByOne: true})
	}
	if c.ip6 != nil {
		h.joins6, err6 = Listen(context.Background(), "udp6", "[::]:0", Config{OneByOne: true})
	}
	if err := errors.Join(err4, err6); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// pin makes p, which goes to a group, stay on the host. What is known of the
// group may concern an interface that is gone; then it is determined again.
func (h *hostOnly) pin(p *Packet) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := p.IfIndex
	err := h.pinLocked(p)
	if err != nil && h.forgetLocked(p.Addr.Addr().Unmap(), p.IfIndex) {
		p.IfIndex = asked
		err = h.pinLocked(p)
	}
	return err
}

// forget drops what is known of the group of p, which could not be sent. It
// reports whether anything was known.
func (h *hostOnly) forget(p *Packet) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.forgetLocked(p.Addr.Addr().Unmap(), p.IfIndex)
}

func (h *hostOnly) forgetLocked(group netip.Addr, ifIndex int) bool {
	m := membership{group.WithZone(""), ifIndex}
	_, chosen := h.chosen[group]
	known := chosen || h.members[m]
	delete(h.chosen, group)
	if h.members[m] {
		delete(h.members, m)
		h.joins(m.group).Leave(m.group, &net.Interface{Index: m.ifIndex}) // if the membership still exists
	}
	if h.ifi != nil && ifIndex == h.ifi.Index {
		if index, err := h.joins(m.group).linkIndex(h.ifi.Name); err == nil && index != 0 && index != h.ifi.Index {
			h.ifi = &net.Interface{Name: h.ifi.Name, Index: index}
			known = true
		}
	}
	return known
}

// pinLocked is pin based on what is known. The caller holds mu.
func (h *hostOnly) pinLocked(p *Packet) (err error) {
	group := p.Addr.Addr().Unmap()
	if p.IfIndex, err = h.interfaceFor(p.IfIndex, group); err == nil {
		err = h.join(membership{group.WithZone(""), p.IfIndex})
	}
	if err != nil {
		return fmt.Errorf("keeping what is sent to %v on the host: %w", group, err)
	}
	return nil
}

// interfaceFor returns the index of the interface for a packet to group that
// asks for ifIndex or, if that is 0, for no particular one.
func (h *hostOnly) interfaceFor(ifIndex int, group netip.Addr) (int, error) {
	switch {
	case ifIndex != 0:
		return ifIndex, nil
	case group.Zone() != "":
		ifi, err := net.InterfaceByName(group.Zone())
		if err != nil {
			return 0, err
		}
		return ifi.Index, nil
	case h.ifi != nil:
		return h.ifi.Index, nil
	}
	if i, ok := h.chosen[group]; ok {
		return i, nil
	}
	i, err := systemsChoice(h.local, group)
	if err == nil {
		h.chosen[group] = i
	}
	return i, err
}

// systemsChoice returns the interface by which a socket bound to local sends
// datagrams to group: the interface of their source address.
func systemsChoice(local, group netip.Addr) (int, error) {
	if !local.IsUnspecified() {
		return interfaceOf(local)
	}
	if group.Is6() { // connecting to a link-local group requires an interface
		b := group.As16()
		b[1] = b[1]&0xf0 | 5 // site-local, which has the same routes
		group = netip.AddrFrom16(b)
	}
	const anyPort = 9
	probe, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(group, anyPort)))
	if err != nil {
		return 0, err
	}
	defer probe.Close()
	return interfaceOf(probe.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap())
}

// interfaceOf returns the index of the interface that has addr.
func interfaceOf(addr netip.Addr) (int, error) {
	all, err := net.Interfaces()
	if err != nil {
		return 0, err
	}
	for _, ifi := range all {
		addrs, err := ifi.Addrs()
		if err != nil {
			return 0, err
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(addr.AsSlice()) {
				return ifi.Index, nil
			}
		}
	}
	return 0, fmt.Errorf("no interface has the address %v", addr)
}

// join makes the host a member of m.
func (h *hostOnly) join(m membership) error {
	if h.members[m] {
		return nil
	}
	if len(h.members) >= maxMemberships {
		for old := range h.members {
			h.joins(old.group).Leave(old.group, &net.Interface{Index: old.ifIndex})
		}
		clear(h.members)
		clear(h.chosen)
	}
	if err := h.joins(m.group).Join(m.group, netip.Addr{}, &net.Interface{Index: m.ifIndex}); err != nil {
		return err
	}
	h.members[m] = true
	return nil
}

// joins returns the socket that joins group. If group's family has none, it
// returns one whose Join reports that.
func (h *hostOnly) joins(group netip.Addr) *Conn {
	if h.joins4 == nil || h.joins6 != nil && group.Is6() {
		return h.joins6
	}
	return h.joins4
}

func (h *hostOnly) close() {
	for _, c := range []*Conn{h.joins4, h.joins6} {
		if c != nil {
			c.Close()
		}
	}
}
