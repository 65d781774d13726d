package sockopt

import (
	"os"

	"golang.org/x/sys/windows"
)

// ReuseAddr sets SO_REUSEADDR on the socket fd. Windows lets any socket that
// has it bind an address in use, not only datagram sockets.
func ReuseAddr(fd uintptr) error {
	return os.NewSyscallError("setsockopt SO_REUSEADDR",
		windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1))
}
