//go:build !windows

package chanio_test

import "syscall"

// These are the errors of a read or a write on a connection that the peer has
// reset.
const (
	errReset  = syscall.ECONNRESET
	errBroken = syscall.EPIPE
)

// errUnreachable is the error that an ICMP refusal causes in a read.
const errUnreachable = syscall.ECONNREFUSED

// errNoAddress and errNoFamily are the errors for addresses that the system
// does not have.
const (
	errNoAddress = syscall.EADDRNOTAVAIL
	errNoFamily  = syscall.EAFNOSUPPORT
)

// acceptErrors are some errors of accept that pass.
var acceptErrors = [...]error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
}
