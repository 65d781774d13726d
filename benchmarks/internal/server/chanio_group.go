package server

import (
	"context"
	"net/netip"

	"example.com/chanio"
)

// chanioGroup multicasts to an IP multicast group through a packet endpoint's
// Send.
func chanioGroup(ctx context.Context, c Config) (Server, error) {
	group, err := netip.ParseAddrPort(c.Endpoint.Address)
	if err != nil {
		return nil, err
	}
	o, err := chanioOptions(c)
	if err != nil {
		return nil, err
	}
	if o.Multicast.Interface, err = c.Endpoint.Interface(); err != nil {
		return nil, err
	}
	conn, err := chanio.ListenPacket(context.WithoutCancel(ctx), "udp", ":0", o)
	if err != nil {
		return nil, err
	}
	g := &chanioGroupServer{conn: conn, group: group}
	c.Members = 1 // nobody tells who has joined
	g.publisher = startPublisher(c, g.multicast)
	g.publisher.enter()
	return g, nil
}

type chanioGroupServer struct {
	conn      *chanio.PacketConn
	group     netip.AddrPort
	publisher *publisher
}

// multicast sends a copy of the message: what is sent is the library's.
func (g *chanioGroupServer) multicast(message []byte) error {
	select {
	case g.conn.Send() <- chanio.Packet{Addr: g.group, Data: append([]byte(nil), message...)}:
		return nil
	case <-g.conn.Done():
		return chanio.ErrClosed
	}
}

func (g *chanioGroupServer) Addr() string { return g.group.String() }

func (g *chanioGroupServer) Close() error {
	g.conn.Abort(nil)
	err := g.conn.Close()
	g.publisher.stop()
	return err
}
