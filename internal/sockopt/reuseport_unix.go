//go:build unix && !solaris

package sockopt

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReusePort sets SO_REUSEPORT on the socket fd: sockets that have it may bind
// one address, and what arrives there is spread over them.
func ReusePort(fd uintptr) error {
	return os.NewSyscallError("setsockopt SO_REUSEPORT",
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
