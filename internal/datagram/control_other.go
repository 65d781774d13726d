//go:build !windows

package datagram

import (
	"net"
	"net/netip"
	"runtime"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// requestPacketInfo asks for each datagram's destination and interface. Where
// they are not available, a Packet's Local is what the socket is bound to.
func (c *Conn) requestPacketInfo() {
	if c.v6 {
		c.ip6.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true)
		return
	}
	c.ip4.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true)
}

// parseControl returns a datagram's destination and the interface on which it
// arrived.
func (c *Conn) parseControl(b []byte) (local netip.AddrPort, ifIndex int) {
	local = c.local
	var dst net.IP
	if c.v6 {
		var cm ipv6.ControlMessage
		if cm.Parse(b) == nil {
			dst, ifIndex = cm.Dst, cm.IfIndex
		}
	} else {
		var cm ipv4.ControlMessage
		if cm.Parse(b) == nil {
			dst, ifIndex = cm.Dst, cm.IfIndex
		}
	}
	if addr, ok := netip.AddrFromSlice(dst); ok {
		local = netip.AddrPortFrom(c.zoner.zoned(addr.Unmap(), ifIndex), local.Port())
	}
	return local, ifIndex
}

// control returns the control messages that p needs, nil for none.
func (c *Conn) control(p *Packet) []byte {
	source, ifIndex := c.path(p)
	if ifIndex == 0 && !source.IsValid() {
		return nil
	}
	var ip net.IP
	if source.IsValid() {
		ip = source.AsSlice()
	}
	switch {
	case !p.Addr.Addr().Unmap().Is4():
		return (&ipv6.ControlMessage{Src: ip, IfIndex: ifIndex}).Marshal()
	case c.v6 && runtime.GOOS != "linux":
		return nil // IPv4's control messages are for AF_INET sockets
	}
	return (&ipv4.ControlMessage{Src: ip, IfIndex: ifIndex}).Marshal()
}
