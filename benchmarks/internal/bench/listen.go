package bench

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Listen binds a stream endpoint with package net. With TLS, as in crypto/tls,
// the handshake runs in a connection's first Read or Write.
func (c Config) Listen() (net.Listener, error) {
	if c.Net == Unix {
		if err := os.Remove(c.Address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	config, err := c.ServerTLS()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen(c.Network(), c.Address)
	if err == nil && config != nil {
		ln = tls.NewListener(ln, config)
	}
	return ln, err
}

// ListenPacket binds a UDP endpoint with package net.
func (c Config) ListenPacket() (*net.UDPConn, error) {
	at, err := net.ResolveUDPAddr(c.Network(), c.Address)
	if err != nil {
		return nil, err
	}
	return c.setBuffers(net.ListenUDP(c.Network(), at))
}

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

// setBuffers gives u buffers of KernelBuffer bytes, or closes it.
func (c Config) setBuffers(u *net.UDPConn, err error) (*net.UDPConn, error) {
	if err == nil && c.KernelBuffer > 0 {
		err = errors.Join(u.SetReadBuffer(c.KernelBuffer), u.SetWriteBuffer(c.KernelBuffer))
	}
	if err != nil && u != nil {
		u.Close()
	}
	return u, err
}
