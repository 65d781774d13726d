package datagram

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// linkChanges returns a file from which the kernel's reports of changed
// interfaces and addresses can be read (rtnetlink(7)), or nil if they are not
// available.
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

// changesLost reports whether err says that there were too many changes to
// report.
func changesLost(err error) bool { return errors.Is(err, unix.ENOBUFS) }

// linkIndex returns the index of the interface with that name in the socket's
// network namespace, or 0 if none is up.
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

// systemsInterface returns the interface on which group is joined if none is
// given, or nil if that is unknown.
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
