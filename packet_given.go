package chanio

import (
	"context"
	"errors"
	"net"

	"example.com/chanio/internal/datagram"
)

// NewPacketConn returns an endpoint over c, like [ListenPacket] over its own
// socket; c belongs to the endpoint from then on. A *net.UDPConn is as fast as
// ListenPacket's own socket. With any other net.PacketConn (a relay, an
// encrypting wrapper, an in-memory socket) datagrams are moved one by one,
// Packet.Local is c's address, and groups can't be joined. Datagrams whose
// source address is not an IP address and port are skipped.
//
// ReuseAddr, ReusePort and Control would come too late and are ignored. A nil c
// or invalid options yield an endpoint that has already ended with that Err.
func NewPacketConn(ctx context.Context, c net.PacketConn, o *Options) *PacketConn {
	conn, set, err := wrapPacketConn(ctx, "NewPacketConn", c, o)
	if err == nil {
		var p *PacketConn
		if p, err = newPacketConn(ctx, conn.network, conn.Conn, set); err == nil {
			return p
		}
	}
	p := makePacketConn(ctx, "udp", datagram.Dead(), new(settings))
	p.terminate(err) // before its reader finds the socket closed
	p.start()
	return p
}

// ServePeers is Listen("udp") over c, which belongs to the listener from then
// on; see [NewPacketConn] for what c may be. Restart is not supported.
//
// A nil c or invalid options yield a listener that has already ended with that
// Err.
func ServePeers(ctx context.Context, c net.PacketConn, o *Options) *Listener {
	conn, set, err := wrapPacketConn(ctx, "ServePeers", c, o)
	if err == nil {
		if err = setMulticast(conn.Conn, conn.network, set); err != nil {
			conn.Close()
		}
	}
	var l *Listener
	if err == nil {
		peersOf(set)
		l = newListener(set, newPeers(ctx, conn.Conn, set))
	} else {
		set := new(settings)
		l = newListener(set, newPeers(ctx, datagram.Dead(), set))
		l.stop(err)
	}
	l.start(ctx)
	return l
}

// A givenConn is a user's net.PacketConn.
type givenConn struct {
	*datagram.Conn
	network string
}

// wrapPacketConn makes a datagram.Conn of c, and closes c if there is an error.
func wrapPacketConn(ctx context.Context, what string, c net.PacketConn, o *Options) (given givenConn, set *settings, err error) {
	if c == nil {
		return given, nil, errors.New("chanio: " + what + " of a nil net.PacketConn")
	}
	if set, err = datagramSettings(ctx, "listen", "udp", o); err != nil {
		c.Close()
		return given, nil, err
	}
	given.network = "udp"
	if a := c.LocalAddr(); a != nil {
		given.network = a.Network()
	}
	given.Conn, err = datagram.Wrap(c, datagramConfig(set, false))
	return given, set, wrapOp("listen", given.network, nil, c.LocalAddr(), err)
}
