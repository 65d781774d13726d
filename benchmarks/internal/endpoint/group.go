package endpoint

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Join returns a socket that receives the datagrams of the endpoint's group.
func (e Endpoint) Join() (*net.UDPConn, error) {
	group, err := netip.ParseAddrPort(e.Address)
	if err != nil {
		return nil, err
	}
	ifi, err := e.Interface()
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenMulticastUDP("udp", ifi, net.UDPAddrFromAddrPort(group))
	if err != nil {
		return nil, err
	}
	if err := e.setBuffers(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Sender returns a socket that sends to the endpoint's group.
func (e Endpoint) Sender() (*net.UDPConn, error) {
	group, err := netip.ParseAddrPort(e.Address)
	if err != nil {
		return nil, err
	}
	ifi, err := e.Interface()
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
	if err = errors.Join(err, e.setBuffers(conn)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// FreeGroupPort returns a UDP port that is unused now. The system can't choose
// one for a group, which many sockets join.
func FreeGroupPort() (int, error) {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port, nil
}

// Interface returns the network interface of the endpoint's group: the loopback
// interface, so that benchmarks stay on this machine.
func (e Endpoint) Interface() (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 && ifi.Flags&net.FlagUp != 0 {
			return &ifi, nil
		}
	}
	return nil, errors.New("there is no loopback interface")
}
