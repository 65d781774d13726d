package datagram

import (
	"net"
	"net/netip"
	"time"
)

// Wrap returns a Conn over any net.PacketConn, which belongs to the Conn from
// then on, even if there is an error. A *net.UDPConn gets everything that the
// system supports. Of any other type, including a wrapper of a *net.UDPConn,
// only the methods are known, and datagrams go one by one.
func Wrap(c net.PacketConn, cfg Config) (*Conn, error) {
	if udp, ok := c.(*net.UDPConn); ok {
		return New(udp, networkOf(udp), cfg)
	}
	return New(packetSocket{c}, "udp", cfg)
}

// networkOf returns udp6 for a socket that carries only IPv6, else udp.
func networkOf(udp *net.UDPConn) string {
	if v6Only(udp) {
		return "udp6"
	}
	return "udp"
}

// A packetSocket is a net.PacketConn as a Socket.
type packetSocket struct{ net.PacketConn }

// ReadMsgUDPAddrPort skips datagrams whose sender has no IP address and port: a
// Packet could not name the sender.
func (s packetSocket) ReadMsgUDPAddrPort(b, _ []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	for {
		n, from, err := s.ReadFrom(b)
		if err != nil {
			return 0, 0, 0, addr, err
		}
		if addr, ok := addrPort(from); ok {
			return n, 0, 0, addr, nil
		}
	}
}

func (s packetSocket) WriteMsgUDPAddrPort(b, _ []byte, to netip.AddrPort) (n, oobn int, err error) {
	n, err = s.WriteTo(b, net.UDPAddrFromAddrPort(to))
	return n, 0, err
}

var _ Socket = packetSocket{}

// addrPort returns addr as an address and a port.
func addrPort(addr net.Addr) (netip.AddrPort, bool) {
	switch a := addr.(type) {
	case nil:
		return netip.AddrPort{}, false
	case *net.UDPAddr:
		return Unmap(a.AddrPort()), a.AddrPort().IsValid()
	}
	a, err := netip.ParseAddrPort(addr.String())
	return Unmap(a), err == nil
}

// Dead returns a closed Conn, for callers that must return one.
func Dead() *Conn {
	c, _ := New(packetSocket{deadSocket{}}, "udp", Config{}) // no error without a socket
	c.Close()
	return c
}

// A deadSocket is a closed socket.
type deadSocket struct{}

func (deadSocket) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, net.ErrClosed }
func (deadSocket) WriteTo([]byte, net.Addr) (int, error)  { return 0, net.ErrClosed }
func (deadSocket) Close() error                           { return nil }
func (deadSocket) LocalAddr() net.Addr                    { return nil }
func (deadSocket) SetDeadline(time.Time) error            { return nil }
func (deadSocket) SetReadDeadline(time.Time) error        { return nil }
func (deadSocket) SetWriteDeadline(time.Time) error       { return nil }
