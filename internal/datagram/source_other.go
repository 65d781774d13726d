//go:build !windows

package datagram

import (
	"net"
	"net/netip"
)

// joinSource joins group on m for what source sends. Both are of the same
// family.
func (c *Conn) joinSource(m memberships, group, source netip.Addr, ifi *net.Interface) error {
	return m.JoinSourceSpecificGroup(ifi, udpAddr(group), udpAddr(source))
}
