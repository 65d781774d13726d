package server

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
)

// stdGroup multicasts to an IP multicast group, with one system call per
// datagram.
func stdGroup(_ context.Context, c Config) (Server, error) {
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
	}, conn.Close), nil
}
