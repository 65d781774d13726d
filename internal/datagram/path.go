package datagram

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// path returns the source address and the interface that p is to leave by: the
// zero values where the system's choice is right, which is nearly always on a
// socket that is bound to one address.
func (c *Conn) path(p *Packet) (source netip.Addr, ifIndex int) {
	to, from := p.Addr.Addr().Unmap(), p.Local.Addr().Unmap()
	scoped := to.IsMulticast() || to.IsLinkLocalUnicast() && to.Is6()
	if scoped {
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

// A zoner gives link-local addresses their zones. Only the receiver uses it.
type zoner struct {
	names map[int]string // of interfaces; as many as there are at most
	since time.Time      // when names was empty
}

// zonesValid is how long an interface's name is believed.
const zonesValid = time.Minute

// zoned returns addr with the zone that it needs to be told from the same
// address on another interface, if it needs one.
func (z *zoner) zoned(addr netip.Addr, ifIndex int) netip.Addr {
	if ifIndex == 0 || !addr.Is6() || !addr.IsLinkLocalUnicast() && !addr.IsLinkLocalMulticast() && !addr.IsInterfaceLocalMulticast() {
		return addr
	}
	return addr.WithZone(z.name(ifIndex))
}

// name returns the name of an interface, or its number if it has gone.
func (z *zoner) name(ifIndex int) string {
	if now := time.Now(); z.names == nil || now.Sub(z.since) > zonesValid {
		z.names, z.since = make(map[int]string), now
	}
	name, ok := z.names[ifIndex]
	if !ok {
		name = strconv.Itoa(ifIndex)
		if ifi, err := net.InterfaceByIndex(ifIndex); err == nil {
			name = ifi.Name
		}
		z.names[ifIndex] = name
	}
	return name
}
