package datagram

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Multicast configures how datagrams to multicast groups are sent.
type Multicast struct {
	Interface  *net.Interface // the outgoing interface; nil is the system's choice
	TTL        int            // how many routers they may pass; 0 means 1, and negative means 0
	NoLoopback bool           // do not deliver to members on this host
}

// A memberships is the common part of ipv4.PacketConn and ipv6.PacketConn.
type memberships interface {
	JoinGroup(ifi *net.Interface, group net.Addr) error
	JoinSourceSpecificGroup(ifi *net.Interface, group, source net.Addr) error
	LeaveGroup(ifi *net.Interface, group net.Addr) error
	SetMulticastInterface(ifi *net.Interface) error
	SetMulticastLoopback(on bool) error
}

var (
	_ memberships = (*ipv4.PacketConn)(nil)
	_ memberships = (*ipv6.PacketConn)(nil)
)

// Join makes the socket receive what is sent to group on ifi, or on the
// interface that the system chooses if ifi is nil. If source is valid, the
// socket receives only what that source sends.
func (c *Conn) Join(group, source netip.Addr, ifi *net.Interface) error {
	c.joined.mu.Lock()
	defer c.joined.mu.Unlock()
	chosen := ifi == nil
	g := c.joined.find(group, ifi)
	if g != nil && g.name != "" {
		c.check(g) // RenewGroups may not have looked since it went
	}
	if chosen && group.Unmap().IsMulticast() {
		ifi = c.systemsInterface(group.Unmap())
		if g != nil && g.index != 0 { // joined already, for another source
			ifi = &net.Interface{Name: g.name, Index: g.index}
		}
	}
	if g != nil && g.name != "" && g.index == 0 && ifi != nil {
		return c.resume(g, source, ifi)
	}
	err := c.join(group, source, ifi)
	if err == nil {
		c.joined.add(group, source, ifi, chosen)
	}
	return err
}

// join is Join on a known interface, without recording it.
func (c *Conn) join(group, source netip.Addr, ifi *net.Interface) error {
	m, err := c.memberships(group)
	switch {
	case err != nil:
		return err
	case !source.IsValid():
		err = m.JoinGroup(ifi, udpAddr(group))
	case source.Unmap().Is4() != group.Unmap().Is4() || source.IsMulticast() || source.IsUnspecified():
		return fmt.Errorf("%v can't be a source of %v", source, group)
	default:
		err = c.joinSource(m, group, source, ifi)
	}
	return groupError(group, ifi, err)
}

// Leave undoes [Conn.Join], for all sources.
func (c *Conn) Leave(group netip.Addr, ifi *net.Interface) error {
	m, err := c.memberships(group)
	if err != nil {
		return err
	}
	c.joined.mu.Lock()
	defer c.joined.mu.Unlock()
	g := c.joined.find(group, ifi)
	if g == nil && ifi == nil { // the system would leave the group on any interface
		if ifi = c.systemsInterface(group.Unmap()); ifi != nil {
			g = c.joined.find(group, ifi)
		}
	}
	if g != nil {
		c.joined.forget(g)
		if g.name != "" && g.index == 0 {
			return nil // its interface is gone, and the membership with it
		}
		if g.index != 0 {
			ifi = &net.Interface{Name: g.name, Index: g.index}
		}
	}
	return groupError(group, ifi, m.LeaveGroup(ifi, udpAddr(group)))
}

// SetMulticast sets how datagrams to groups are sent. Zero fields keep the
// system's defaults, which are those that Multicast states. It must be called
// once, before anything is sent.
func (c *Conn) SetMulticast(m Multicast) (err error) {
	if m.Interface != nil {
		c.joined.out = sendInterface{m.Interface.Name, m.Interface.Index}
	}
	if m.TTL < 0 {
		if c.hostOnly, err = newHostOnly(c, m); err != nil {
			return err
		}
	}
	if c.ip4 != nil {
		if err := m.set(c.ip4, c.ip4.SetMulticastTTL); err != nil {
			return err
		}
	}
	if c.ip6 != nil {
		return m.set(c.ip6, c.ip6.SetMulticastHopLimit)
	}
	return nil
}

func (m *Multicast) set(ms memberships, setTTL func(int) error) error {
	if m.Interface != nil {
		if err := setInterface(ms, m.Interface); err != nil {
			return err
		}
	}
	if m.TTL != 0 {
		if err := setTTL(max(m.TTL, 0)); err != nil {
			return fmt.Errorf("multicast TTL %d: %w", max(m.TTL, 0), supported(err))
		}
	}
	if m.NoLoopback {
		if err := ms.SetMulticastLoopback(false); err != nil {
			return fmt.Errorf("no multicast loopback: %w", supported(err))
		}
	}
	return nil
}

func setInterface(ms memberships, ifi *net.Interface) error {
	if err := ms.SetMulticastInterface(ifi); err != nil {
		return fmt.Errorf("multicast interface %q: %w", ifi.Name, supported(err))
	}
	return nil
}

// SetInterface chooses the outgoing interface on a socket that is about to be
// connected to a group, so that the system chooses a source address of that
// interface. Network is udp4 or udp6.
func SetInterface(raw syscall.RawConn, network string, ifi *net.Interface) error {
	conn := rawUDP{raw: raw}
	if network == "udp6" {
		return setInterface(ipv6.NewPacketConn(conn), ifi)
	}
	return setInterface(ipv4.NewPacketConn(conn), ifi)
}

// rawUDP is the part of a *net.UDPConn that x/net needs to set an option.
type rawUDP struct {
	*net.UDPConn
	raw syscall.RawConn
}

func (c rawUDP) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// memberships returns the half of the socket on which group is joined.
func (c *Conn) memberships(group netip.Addr) (memberships, error) {
	is4 := group.Unmap().Is4()
	switch {
	case !group.Unmap().IsMulticast():
		return nil, fmt.Errorf("%v is not a multicast group", group)
	case is4 && c.ip4 != nil:
		return c.ip4, nil
	case !is4 && c.ip6 != nil:
		return c.ip6, nil
	}
	return nil, fmt.Errorf("%v is not of the address family of %v", group, c.local.Addr())
}

// groupError adds the group and the interface to err.
func groupError(group netip.Addr, ifi *net.Interface, err error) error {
	switch {
	case err == nil:
		return nil
	case ifi == nil:
		return fmt.Errorf("group %v: %w", group, supported(err))
	}
	return fmt.Errorf("group %v on interface %q (index %d): %w", group, ifi.Name, ifi.Index, supported(err))
}

// supported turns x/net's unexported error for what it does not implement on a
// system into errors.ErrUnsupported.
func supported(err error) error {
	if strings.HasPrefix(err.Error(), "not implemented on "+runtime.GOOS) {
		return fmt.Errorf("%w: %v", errors.ErrUnsupported, err)
	}
	return err
}

// udpAddr returns addr in the form that x/net takes.
func udpAddr(addr netip.Addr) *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr.Unmap(), 0))
}
