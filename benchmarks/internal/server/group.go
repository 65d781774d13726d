package server

import (
	"context"
	"errors"
	"net/netip"
	"syscall"

	"example.com/chanio"
)

// A groupServer multicasts to an IP multicast group.
type groupServer struct {
	group netip.AddrPort
	close func() error // of its socket
}

func (g groupServer) Addr() string { return g.group.String() }

func (g groupServer) Close() error { return g.close() }

// newGroup returns a server that publishes with send, over a socket that shut
// closes. It does not know its members.
func newGroup(c Config, group netip.AddrPort, send func(message []byte) error, shut func() error) (Server, error) {
	c.Members = 1
	return newPublished(c, send, func(p *publisher) (Server, error) {
		p.enter()
		return groupServer{group, shut}, nil
	})
}

// stdGroup needs one system call per datagram.
func stdGroup(c Config) (Server, error) {
	group, err := netip.ParseAddrPort(c.Endpoint.Address)
	if err != nil {
		return nil, err
	}
	conn, err := c.Endpoint.Sender()
	if err != nil {
		return nil, err
	}
	return newGroup(c, group, func(message []byte) error {
		_, err := conn.WriteToUDPAddrPort(message, group)
		if errors.Is(err, syscall.ENOBUFS) {
			return nil // lost, as datagrams are
		}
		return err
	}, conn.Close)
}

// chanioGroup sends through a packet endpoint.
func chanioGroup(ctx context.Context, c Config) (Server, error) {
	group, err := netip.ParseAddrPort(c.Endpoint.Address)
	if err != nil {
		return nil, err
	}
	o := c.options()
	if o.Multicast.Interface, err = c.Endpoint.Interface(); err != nil {
		return nil, err
	}
	conn, err := chanio.ListenPacket(context.WithoutCancel(ctx), "udp", ":0", o)
	if err != nil {
		return nil, err
	}
	return newGroup(c, group, sendTo(conn, group), func() error {
		conn.Abort(nil) // what is not sent yet is lost, which is no error here
		<-conn.Done()
		return nil
	})
}

// sendTo returns a function that sends a copy of a message: what is sent belongs
// to the library.
func sendTo(conn *chanio.PacketConn, group netip.AddrPort) func([]byte) error {
	return func(message []byte) error {
		select {
		case conn.Send() <- chanio.Packet{Addr: group, Data: append([]byte(nil), message...)}:
			return nil
		case <-conn.Done():
			return chanio.ErrClosed
		}
	}
}
