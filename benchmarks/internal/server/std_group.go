package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// stdGroup multicasts to an IP multicast group, a system call a datagram.
func stdGroup(_ context.Context, c Config) (Server, error) {
	group, err := netip.ParseAddrPort(c.Endpoint.Address)
	if err != nil {
		return nil, err
	}
	conn, err := c.Endpoint.Sender()
	if err != nil {
		return nil, err
	}
	g := &groupServer{conn: conn, group: group}
	c.Members = 1 // nobody tells who has joined
	g.publisher = startPublisher(c, g.multicast)
	g.publisher.enter()
	return g, nil
}

type groupServer struct {
	conn      *net.UDPConn
	group     netip.AddrPort
	publisher *publisher
}

func (g *groupServer) multicast(message []byte) error {
	_, err := g.conn.WriteToUDPAddrPort(message, g.group)
	if errors.Is(err, syscall.ENOBUFS) {
		return nil // lost, as datagrams are
	}
	return err
}

func (g *groupServer) Addr() string { return g.group.String() }

func (g *groupServer) Close() error {
	err := g.conn.Close()
	g.publisher.stop()
	return err
}
