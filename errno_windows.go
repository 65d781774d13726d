package chanio

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// The errors of Windows' sockets have numbers of their own. What syscall has
// under POSIX's names is invented there, and no call returns it.
const (
	errAddressInUse = windows.WSAEADDRINUSE
	errRefused      = windows.WSAECONNREFUSED
	errPeerReset    = windows.WSAECONNRESET
)

// passing reports whether an accept that failed with errno may succeed later,
// because that was about the connection, or about resources that come back.
func passing(errno syscall.Errno) bool {
	switch errno {
	case windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY, windows.ERROR_NO_SYSTEM_RESOURCES,
		windows.WSAECONNABORTED, windows.WSAECONNRESET, windows.ERROR_NETNAME_DELETED, windows.WSAEINTR:
		return true
	}
	return false
}
