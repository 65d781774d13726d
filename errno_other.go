//go:build !windows && !plan9

package chanio

import "syscall"

// errorNumber is an error of the system.
type errorNumber = syscall.Errno

const (
	errAddressInUse = syscall.EADDRINUSE
	errRefused      = syscall.ECONNREFUSED
	errPeerReset    = syscall.ECONNRESET
	errBrokenPipe   = syscall.EPIPE
)

// passing reports whether an accept that failed with errno may succeed later:
// accept(2) names errors of the connection and temporary lacks of resources.
// ENOSPC comes from epoll_ctl(2), for too many watches: Go registers the new
// connection before Accept returns it.
func passing(errno errorNumber) bool {
	switch errno {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPROTO, syscall.EPERM, syscall.ETIMEDOUT:
		return true
	}
	return ofConnection(errno)
}
