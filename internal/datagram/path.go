package datagram

import "net/netip"

// path returns the source address and the outgoing interface of p. They are zero
// if the system's choice is right, which it nearly always is on a socket bound
// to one address.
func (c *Conn) path(p *Packet) (source netip.Addr, ifIndex int) {
	to, from := p.Addr.Addr().Unmap(), p.Local.Addr().Unmap()
	if to.IsMulticast() || linkLocal(to) {
		ifIndex = p.IfIndex
	}
	if c.bound() && ifIndex != 0 && to.Is4() && c.local.Addr().Is4() {
		return c.local.Addr(), ifIndex // IPv4's control message always chooses both: no source would be the interface's
	}
	if c.connected || c.bound() || !from.IsValid() || from.IsUnspecified() || from.IsMulticast() || from == broadcast {
		return source, ifIndex
	}
	if from.Is4() != to.Is4() {
		return source, ifIndex
	}
	if from.Is6() && from.IsLinkLocalUnicast() {
		ifIndex = p.IfIndex // such an address belongs to an interface
	}
	return from.WithZone(""), ifIndex
}

// bound reports whether the socket is bound to an address that it sends from,
// which a group's is not.
func (c *Conn) bound() bool { return !c.wildcard && !c.local.Addr().IsMulticast() }

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})
