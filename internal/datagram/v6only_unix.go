//go:build unix

package datagram

import (
	"net"

	"golang.org/x/sys/unix"
)

// v6Only reports whether IPv4 does not go over an AF_INET6 socket.
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
