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
	// A copy of the message: what is sent belongs to the library.
	send := func(message []byte) error {
		select {
		case conn.Send() <- chanio.Packet{Addr: group, Data: append([]byte(nil), message...)}:
			return nil
		case <-conn.Done():
			return chanio.ErrClosed
		}
	}
	return newGroup(c, group, send, func() error {
		conn.Abort(nil)
		return conn.Close()
	}), nil
}
