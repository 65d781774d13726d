// The fan-out itself is in hub.go. This file has a listener's access to its
// hub, and endpoints that receive a multicast group's datagrams.

package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"example.com/chanio/internal/datagram"
)

// Multicast publishes p to all sessions in the listener's hub. It is
// Hub().Multicast.
func (l *Listener) Multicast(p []byte) error { return l.hub.Multicast(p) }

// Hub returns the listener's own hub, which has the listener's options. Stream
// sessions join it before they are delivered unless Options.ManualJoin is set.
// Udp sessions must join it by Hub.Join, because a forged address must not
// subscribe anyone. The hub ends with the listener.
func (l *Listener) Hub() *Hub { return l.hub }

// ListenMulticast joins a multicast group and returns an endpoint that receives
// only what is sent to that group and port. It lives until ctx ends, like
// [ListenPacket]'s. Group is an address and a port, such as "239.255.0.1:3334"
// or "[ff02::114%eth0]:3334"; an address that is not a group is an error, and
// so is port 0. Networks are udp, udp4 and udp6.
//
// Any number of endpoints, also in different processes, may share the port, and
// each receives everything. The group is joined on Options.Multicast.Interface,
// on the zone's interface if the address has a zone, or where the system
// chooses. With Options.Multicast.Source only what that address sends is
// received. On a system that cannot do that, the error is errors.ErrUnsupported.
//
// On Windows, and for a link-local IPv6 group if no interface is given, other
// datagrams can arrive too: the group's address cannot be bound there, so the
// endpoint has the port on all addresses.
//
// The endpoint can send like any other. A sender need not join: it uses
// [ListenPacket] or a udp [Dial].
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
	p, err := newPacketConn(ctx, network, conn, set)
	if err == nil {
		p.watchLinks()
	}
	return p, err
}

// resolveGroup returns the group's address without a zone and the interface to
// join it on: ifi, else its zone's, else nil.
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
		return fail(errors.New("not a multicast group"))
	case port == 0:
		return fail(errors.New("a group can't have port 0"))
	case network == "udp4" && !addr.Is4(), network == "udp6" && !addr.Is6():
		return fail(fmt.Errorf("not of %s", network))
	}
	ifi, err = groupInterface(addr, ifi)
	if err != nil {
		return fail(err)
	}
	return netip.AddrPortFrom(addr.WithZone(""), uint16(port)), ifi, nil
}

// groupInterface returns ifi, else the interface of the group's zone, else nil.
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

// JoinGroup makes the endpoint receive what is sent to group on the endpoint's
// port, on ifi. If ifi is nil, it is Options.Multicast.Interface, else the
// interface of the group's zone, else the system's choice. The endpoint should
// be bound to a wildcard address: on most systems one bound to another address
// receives nothing from a group.
//
// An endpoint can join many groups on many interfaces; Packet.Local tells them
// apart. When a group's interface vanishes or goes down, that is an
// [EventFailed]; when an interface of that name is up again, the group is joined
// on it, which is an [EventJoined]. Linux notifies of both; on other systems the
// library looks every second. An address that is not a group, a group of the wrong address family,
// and an interface that does not exist are errors. After the end the error is
// ErrClosed.
func (p *PacketConn) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	return p.changeGroup("join", group, ifi, func(group netip.Addr, ifi *net.Interface) error {
		return p.conn.Join(group, netip.Addr{}, ifi)
	})
}

// JoinSource is JoinGroup restricted to what source sends. It may be called for
// several sources of a group. On a system that cannot do that, the error is
// errors.ErrUnsupported.
func (p *PacketConn) JoinSource(group, source netip.Addr, ifi *net.Interface) error {
	return p.changeGroup("join", group, ifi, func(group netip.Addr, ifi *net.Interface) error {
		if !source.IsValid() {
			return errors.New("no source address")
		}
		return p.conn.Join(group, source, ifi)
	})
}

// LeaveGroup undoes JoinGroup, or JoinSource for all sources, on the same
// interface; if nil, on the one that was chosen then, even if the system would
// now choose another. Datagrams that arrived before may still be delivered.
func (p *PacketConn) LeaveGroup(group netip.Addr, ifi *net.Interface) error {
	return p.changeGroup("leave", group, ifi, p.conn.Leave)
}

// changeGroup calls change with the interface that is meant, and wraps its
// error.
func (p *PacketConn) changeGroup(op string, group netip.Addr, ifi *net.Interface, change func(netip.Addr, *net.Interface) error) error {
	if ifi == nil {
		ifi = p.set.Multicast.Interface
	}
	ifi, err := groupInterface(group, ifi)
	if err == nil {
		err = change(group.Unmap().WithZone(""), ifi)
	}
	if err != nil && p.hasEnded() {
		err = ErrClosed
	}
	if err != nil {
		return p.errorAt(op, netip.AddrPort{}, err)
	}
	if op == "join" {
		p.watchLinks()
	}
	return nil
}

// hasEnded reports whether the endpoint has ended.
func (p *PacketConn) hasEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}
