//go:build unix

package datagram

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"example.com/chanio/internal/sockopt"
)

// ListenGroup returns a Conn that is bound to group itself, so that nothing else
// arrives, and shares the port with other sockets that do so. The caller must
// still join the group, on ifi.
//
// Package net binds a wildcard address whatever the group, so the socket is made
// here.
func ListenGroup(_ context.Context, group netip.AddrPort, ifi *net.Interface, cfg Config) (*Conn, error) {
	network, family := "udp4", unix.AF_INET
	if group.Addr().Is6() {
		network, family = "udp6", unix.AF_INET6
	}
	fd, err := newSocket(family)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), group.String())
	defer f.Close() // FilePacketConn duplicates the descriptor
	// As package net does:
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt SO_BROADCAST", err)
	}
	if cfg.Control != nil {
		raw, err := f.SyscallConn()
		if err != nil {
			return nil, err
		}
		if err := cfg.Control(network, group.String(), raw); err != nil {
			return nil, err
		}
	}
	if err := bindGroup(fd, group, ifi); err != nil {
		return nil, err
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return New(pc.(*net.UDPConn), network, cfg)
}

// newSocket returns a datagram socket that no child process inherits.
func newSocket(family int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	return fd, nil
}

// bindGroup binds fd to group.
func bindGroup(fd int, group netip.AddrPort, ifi *net.Interface) error {
	if err := sockopt.ReuseAddr(uintptr(fd)); err != nil {
		return err
	}
	if runtime.GOOS != "linux" && runtime.GOOS != "solaris" { // needed to share a group's port on BSDs
		if err := sockopt.ReusePort(uintptr(fd)); err != nil {
			return err
		}
	}
	if group.Addr().Is4() {
		return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrInet4{Port: int(group.Port()), Addr: group.Addr().As4()}))
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
		return os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
	}
	sa := &unix.SockaddrInet6{Port: int(group.Port()), Addr: group.Addr().As16()}
	if linkLocal(group.Addr()) {
		if ifi == nil {
			// Such an address can't be bound without an interface, and only
			// joining shows which one the system chooses.
			sa.Addr = netip.IPv6Unspecified().As16()
		} else {
			sa.ZoneId = uint32(ifi.Index)
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}
