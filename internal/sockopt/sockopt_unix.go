//go:build unix

package sockopt

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReuseAddr sets SO_REUSEADDR on the socket fd. Datagram sockets that have it
// may share a multicast group's port.
func ReuseAddr(fd uintptr) error {
	return os.NewSyscallError("setsockopt SO_REUSEADDR",
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
}
