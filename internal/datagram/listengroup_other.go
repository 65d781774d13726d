//go:build !unix

package datagram

import (
	"context"
	"net"
	"net/netip"
)

// ListenGroup returns a Conn that shares the group's port with other sockets
// that do so. The caller must still join the group. The socket is bound to a
// wildcard address, so datagrams to the port that are not for the group may
// arrive too.
func ListenGroup(ctx context.Context, group netip.AddrPort, _ *net.Interface, cfg Config) (*Conn, error) {
	network := "udp4"
	if group.Addr().Is6() {
		network = "udp6"
	}
	// Package net recognizes a group, binds the wildcard address instead and
	// makes it shareable.
	return bind(ctx, network, group.String(), cfg)
}
