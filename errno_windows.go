package chanio

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// errorNumber is an error of the system.
type errorNumber = syscall.Errno

// Windows sockets have their own error numbers. The POSIX names in package
// syscall are invented there, and no call returns them.
const (
	errAddressInUse = windows.WSAEADDRINUSE
	errRefused      = windows.WSAECONNREFUSED
	errPeerReset    = windows.WSAECONNRESET
	errBrokenPipe   = windows.WSAESHUTDOWN
)

// passing reports whether an accept that failed with errno may succeed later,
// because the error was about the connection or a temporary lack of resources.
func passing(errno errorNumber) bool {
	switch errno {
	case windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY, windows.ERROR_NO_SYSTEM_RESOURCES,
		windows.WSAECONNABORTED, windows.WSAECONNRESET, windows.ERROR_NETNAME_DELETED, windows.WSAEINTR:
		return true
	}
	return false
}
