//go:build !unix

package datagram

import (
	"context"
	"net"
	"net/netip"
)

// ListenGroup returns a Conn that shares the group's port with others that do
// so. The group is still to be joined. The socket is bound to a wildcard
// address: what others send to the port may arrive too.
func ListenGroup(ctx context.Context, group netip.AddrPort, _ *net.Interface, cfg Config) (*Conn, error) {
	network := "udp4"
	if group.Addr().Is6() {
		network = "udp6"
	}
	// Net knows a group when it sees one, binds the wildcard address in its
	// place and makes it shareable.
	return bind(ctx, network, group.String(), cfg)
}
