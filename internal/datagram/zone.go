package datagram

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// A link-local address means nothing without its link, which is Packet.IfIndex
// or else the address's zone. An interface that went away and came back under
// its name has another index, so nothing here trusts a name for long. Packages
// net and x/net do, for a minute, so they are given no names.

// linkLocal reports whether addr means nothing without an interface.
func linkLocal(addr netip.Addr) bool {
	return addr.Is6() && (addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsInterfaceLocalMulticast())
}

// scope returns the index of the interface of p's destination, or 0 if the
// address needs none or names none.
func (c *Conn) scope(p *Packet) int {
	to := p.Addr.Addr()
	switch {
	case linkLocal(to) && p.IfIndex != 0:
		return p.IfIndex
	case to.Zone() == "":
		return 0
	}
	index, _ := c.zoneIndex(to.Zone()) // checkZone has reported the error
	return index
}

// checkZone returns the error of a packet whose zone does not exist.
func (c *Conn) checkZone(p *Packet) error {
	zone := p.Addr.Addr().Zone()
	if zone == "" || p.IfIndex != 0 && linkLocal(p.Addr.Addr()) {
		return nil
	}
	if _, err := c.zoneIndex(zone); err != nil {
		return fmt.Errorf("zone %q: %w", zone, bare(err))
	}
	return nil
}

// zoneIndex returns the index of the interface that zone names, or the index
// that zone is.
func (c *Conn) zoneIndex(zone string) (int, error) {
	if index, err := strconv.ParseUint(zone, 10, 31); err == nil {
		return int(index), nil // the kernel knows whether it exists
	}
	return c.interfaceIndex(zone)
}

// A zoner adds zones to link-local addresses. Only the receiver uses it.
type zoner struct {
	names map[int]string // of interfaces; at most as many as exist
	since time.Time      // when names was empty
}

// namesValid is how long an interface's name is trusted. Replies are routed by
// the index, which comes with each datagram.
const namesValid = time.Second

// zoned returns addr with the zone, if it needs one, that distinguishes it from
// the same address on another interface.
func (z *zoner) zoned(addr netip.Addr, ifIndex int) netip.Addr {
	if ifIndex == 0 || !linkLocal(addr) {
		return addr
	}
	return addr.WithZone(z.name(ifIndex))
}

// name returns the name of an interface, or its number if it is gone.
func (z *zoner) name(ifIndex int) string {
	if now := time.Now(); z.names == nil || now.Sub(z.since) > namesValid {
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
