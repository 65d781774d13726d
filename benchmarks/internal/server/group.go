package server

import "net/netip"

// A groupServer multicasts to an IP multicast group.
type groupServer struct {
	group     netip.AddrPort
	publisher *publisher
	close     func() error // of its socket
}

// newGroup returns a server that publishes with send, over a socket that shut
// closes.
func newGroup(c Config, group netip.AddrPort, send func(message []byte) error, shut func() error) *groupServer {
	c.Members = 1 // members of a group are unknown
	g := &groupServer{group: group, publisher: startPublisher(c, send), close: shut}
	g.publisher.enter()
	return g
}

func (g *groupServer) Addr() string { return g.group.String() }

func (g *groupServer) Close() error {
	err := g.close()
	g.publisher.stop()
	return err
}
