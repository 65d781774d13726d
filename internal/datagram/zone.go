package datagram

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// A link-local address means nothing without its link, which Packet.IfIndex is or
// else the address's zone. An interface that went and came again under its name has
// another index, so nothing here believes a name for long; net and x/net do, for a
// minute, so they are given no names.

// linkLocal reports that addr means nothing without an interface.
func linkLocal(addr netip.Addr) bool {
	return addr.Is6() && (addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsInterfaceLocalMulticast())
}

// scope returns the index of the interface that p's destination is on, 0 if the
// address needs none or nobody says.
func (c *Conn) scope(p *Packet) int {
	to := p.Addr.Addr()
	switch {
	case linkLocal(to) && p.IfIndex != 0:
		return p.IfIndex
	case to.Zone() == "":
		return 0
	}
	index, _ := c.zoneIndex(to.Zone()) // checkZone has told of the error
	return index
}

// checkZone returns the error of a packet whose zone is none.
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

// zoneIndex returns the index of the interface that zone names, or is.
func (c *Conn) zoneIndex(zone string) (int, error) {
	if index, err := strconv.ParseUint(zone, 10, 31); err == nil {
		return int(index), nil // which the kernel knows or does not
	}
	return c.interfaceIndex(zone)
}

// A zoner gives link-local addresses their zones. Only the receiver uses it.
type zoner struct {
	names map[int]string // of interfaces; as many as there are at most
	since time.Time      // when names was empty
}

// namesValid is how long an interface's name is believed: where an answer goes is
// for the index to say, which comes with each datagram.
const namesValid = time.Second

// zoned returns addr with the zone that it needs to be told from the same
// address on another interface, if it needs one.
func (z *zoner) zoned(addr netip.Addr, ifIndex int) netip.Addr {
	if ifIndex == 0 || !linkLocal(addr) {
		return addr
	}
	return addr.WithZone(z.name(ifIndex))
}

// name returns the name of an interface, or its number if it has gone.
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
