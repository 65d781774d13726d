package bench

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Join returns a socket that receives the datagrams of the group.
func (c Config) Join() (*net.UDPConn, error) {
	group, ifi, err := c.Group()
	if err != nil {
		return nil, err
	}
	return c.setBuffers(net.ListenMulticastUDP("udp", ifi, net.UDPAddrFromAddrPort(group)))
}

// Sender returns a socket that sends to the group.
func (c Config) Sender() (*net.UDPConn, error) {
	group, ifi, err := c.Group()
	if err != nil {
		return nil, err
	}
	network := "udp6"
	if group.Addr().Is4() {
		network = "udp4"
	}
	// A socket that is bound but not yet connected can be told the outgoing
	// interface for multicast before the system looks for a route.
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	if group.Addr().Is4() {
		err = ipv4.NewPacketConn(conn).SetMulticastInterface(ifi)
	} else {
		err = ipv6.NewPacketConn(conn).SetMulticastInterface(ifi)
	}
	return c.setBuffers(conn, err)
}

// Group returns the address of the group and its network interface: loopback, so
// that benchmarks stay on this machine.
func (c Config) Group() (netip.AddrPort, *net.Interface, error) {
	group, err := netip.ParseAddrPort(c.Address)
	if err != nil {
		return group, nil, err
	}
	all, err := net.Interfaces()
	if err != nil {
		return group, nil, err
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 && ifi.Flags&net.FlagUp != 0 {
			return group, &ifi, nil
		}
	}
	return group, nil, errors.New("there is no loopback interface")
}
