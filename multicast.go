// What fans messages out is in hub.go: this file has a listener's way to its hub,
// and endpoints that receive a multicast group's datagrams.

package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"example.com/chanio/internal/datagram"
)

// Multicast publishes p to all sessions in the listener's hub; it is
// Hub().Multicast.
func (l *Listener) Multicast(p []byte) error { return l.hub.Multicast(p) }

// Hub returns the listener's own hub, which has the listener's options. Stream
// sessions join it before they are delivered, unless Options.ManualJoin is set;
// udp sessions only by its Join: a forged address must not subscribe anyone.
// It ends with the listener.
func (l *Listener) Hub() *Hub { return l.hub }

// ListenMulticast joins a multicast group and returns an endpoint that receives
// what is sent to it, on that port, and nothing else; it lives until ctx ends,
// as [ListenPacket]'s does. Group is an address and a port, such as
// "239.255.0.1:3334" or "[ff02::114%eth0]:3334"; an address that is no group is
// an error, and so is port 0. Networks are udp, udp4 and udp6.
//
// Any number of endpoints, of several processes too, may share the port; each
// receives all. The group is joined on Options.Multicast.Interface, on the
// zone's interface if the address has a zone, or else where the system chooses.
// With Options.Multicast.Source only what that address sends is received; where
// a system can't do that it is errors.ErrUnsupported.
//
// What is not sent to the group can arrive on Windows, and for an IPv6 group of
// a link if no interface is given: there the port is the endpoint's on all
// addresses, since the group's can't be bound.
//
// The endpoint sends as any other. A sender need not join: it is [ListenPacket]
// or a udp [Dial].
func ListenMulticast(ctx context.Context, network, group string, o *Options) (*PacketConn, error) {
	return listenMulticast(ctx, network, group, o, false)
}

// listenMulticast is ListenMulticast; for oneByOne see listenPacket.
func listenMulticast(ctx context.Context, network, group string, o *Options, oneByOne bool) (*PacketConn, error) {
	set, err := datagramSettings(ctx, "listen", network, o)
	if err != nil {
		return nil, err
	}
	addr, ifi, err := resolveGroup(ctx, network, group, set.Multicast.Interface)
	if err != nil {
		return nil, wrapOp("listen", network, nil, nil, err)
	}
	if set.Multicast.Interface == nil && ifi != nil {
		set.Multicast.Interface = ifi
	}
	conn, err := datagram.ListenGroup(ctx, addr, ifi, datagramConfig(set, oneByOne))
	if err != nil {
		return nil, wrapOp("listen", network, nil, udpAddr(addr), err)
	}
	if err := conn.Join(addr.Addr(), set.Multicast.Source, ifi); err != nil {
		conn.Close()
		return nil, wrapOp("join", network, nil, udpAddr(addr), err)
	}
	return newPacketConn(ctx, network, conn, set)
}

// resolveGroup returns the group's address without a zone, and the interface to
// join it on: ifi, or else its zone's, or nil.
func resolveGroup(ctx context.Context, network, group string, ifi *net.Interface) (netip.AddrPort, *net.Interface, error) {
	fail := func(err error) (netip.AddrPort, *net.Interface, error) {
		return netip.AddrPort{}, nil, fmt.Errorf("group %q: %w", group, err)
	}
	host, service, err := net.SplitHostPort(group)
	if err != nil {
		return fail(err)
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return fail(err)
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return fail(err)
	}
	addr = addr.Unmap()
	switch {
	case !addr.IsMulticast():
		return fail(errors.New("no multicast group"))
	case port == 0:
		return fail(errors.New("port 0 can't be a group's"))
	case network == "udp4" && !addr.Is4(), network == "udp6" && !addr.Is6():
		return fail(fmt.Errorf("not of %s", network))
	}
	ifi, err = groupInterface(addr, ifi)
	if err != nil {
		return fail(err)
	}
	return netip.AddrPortFrom(addr.WithZone(""), uint16(port)), ifi, nil
}

// groupInterface returns ifi, or else the interface that is the group's zone, or
// else nil.
func groupInterface(group netip.Addr, ifi *net.Interface) (*net.Interface, error) {
	if ifi != nil || group.Zone() == "" {
		return ifi, nil
	}
	ifi, err := net.InterfaceByName(group.Zone())
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", group.Zone(), err)
	}
	return ifi, nil
}

// JoinGroup makes the endpoint receive what is sent to group, on its own port
// and on ifi. If ifi is nil that is Options.Multicast.Interface, the interface
// of the group's zone, or else the system's choice. The endpoint should be bound
// to a wildcard address: on most systems one that is bound to another address
// receives nothing from a group.
//
// An endpoint can join many groups, on many interfaces; Packet.Local tells them
// apart. An address that is no group, a group of the wrong address family, and
// an interface that does not exist are errors. After the end it is ErrClosed.
func (p *PacketConn) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	return p.changeGroup("join", group, ifi, func(group netip.Addr, ifi *net.Interface) error {
		return p.conn.Join(group, netip.Addr{}, ifi)
	})
}

// JoinSource is JoinGroup for what source sends only. It may be called for more
// sources of a group. Where a system can't do that it is errors.ErrUnsupported.
func (p *PacketConn) JoinSource(group, source netip.Addr, ifi *net.Interface) error {
	return p.changeGroup("join", group, ifi, func(group netip.Addr, ifi *net.Interface) error {
		if !source.IsValid() {
			return errors.New("no source address")
		}
		return p.conn.Join(group, source, ifi)
	})
}

// LeaveGroup undoes JoinGroup, or JoinSource for all sources, on the same
// interface. What had arrived before may still come.
func (p *PacketConn) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	return p.changeGroup("leave", group, ifi, p.conn.Leave)
}

// changeGroup calls change with the interface that is meant, and says what its
// error is about.
func (p *PacketConn) changeGroup(op string, group netip.Addr, ifi *net.Interface, change func(netip.Addr, *net.Interface) error) error {
	if ifi == nil {
		ifi = p.set.Multicast.Interface
	}
	ifi, err := groupInterface(group, ifi)
	if err == nil {
		err = change(group.Unmap().WithZone(""), ifi)
	}
	if err != nil {
		return p.errorAt(op, netip.AddrPort{}, err)
	}
	return nil
}
