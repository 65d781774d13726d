package datagram

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// linkChanges returns what the kernel tells of interfaces and their addresses in
// (rtnetlink(7)), nil if that is not to be had.
func linkChanges() *os.File {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "rtnetlink")
}

// changesLost reports whether err says that there were too many changes to tell.
func changesLost(err error) bool { return errors.Is(err, unix.ENOBUFS) }

// linkIndex returns the index of the interface with that name, in the network
// namespace of the socket, 0 if there is none that is up.
func (c *Conn) linkIndex(name string) (index int, err error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, nil
	}
	err = c.raw.Control(func(fd uintptr) {
		if unix.IoctlIfreq(int(fd), unix.SIOCGIFFLAGS, ifr) != nil || ifr.Uint16()&unix.IFF_UP == 0 {
			return
		}
		if unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, ifr) == nil {
			index = int(ifr.Uint32())
		}
	})
	return index, err
}

// systemsInterface returns the interface that group is joined on where nobody says
// which, nil if that is unknown.
func (c *Conn) systemsInterface(group netip.Addr) *net.Interface {
	index, err := systemsChoice(netip.IPv4Unspecified(), group)
	if err != nil {
		return nil
	}
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return nil
	}
	return ifi
}
