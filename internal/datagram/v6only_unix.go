//go:build unix

package datagram

import (
	"net"

	"golang.org/x/sys/unix"
)

// v6Only reports whether an AF_INET6 socket carries no IPv4.
func v6Only(udp *net.UDPConn) (only bool) {
	raw, err := udp.SyscallConn()
	if err != nil {
		return false
	}
	raw.Control(func(fd uintptr) {
		v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		only = err == nil && v != 0
	})
	return only
}
