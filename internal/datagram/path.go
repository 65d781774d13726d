package datagram

import "net/netip"

// path returns the source address and the interface that p is to leave by: the
// zero values where the system's choice is right, which is nearly always on a
// socket that is bound to one address.
func (c *Conn) path(p *Packet) (source netip.Addr, ifIndex int) {
	to, from := p.Addr.Addr().Unmap(), p.Local.Addr().Unmap()
	if to.IsMulticast() || linkLocal(to) {
		ifIndex = p.IfIndex
	}
	if c.connected || c.bound() || !from.IsValid() || from.IsUnspecified() || from.IsMulticast() || from == broadcast {
		return source, ifIndex
	}
	if from.Is4() != to.Is4() {
		return source, ifIndex
	}
	if from.Is6() && from.IsLinkLocalUnicast() {
		ifIndex = p.IfIndex // such an address is one of an interface
	}
	return from.WithZone(""), ifIndex
}

// bound reports whether the socket is bound to an address that it sends from: a
// group's is none.
func (c *Conn) bound() bool { return !c.wildcard && !c.local.Addr().IsMulticast() }

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
