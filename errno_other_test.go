//go:build !windows

package chanio

import "syscall"

// What a read or a write of a connection returns that the peer has reset.
const (
	errReset  = syscall.ECONNRESET
	errBroken = syscall.EPIPE
)

// errUnreachable is what an ICMP refusal makes of a read.
const errUnreachable = syscall.ECONNREFUSED

// errNoAddress and errNoFamily are of addresses that the system does not have.
const (
	errNoAddress = syscall.EADDRNOTAVAIL
	errNoFamily  = syscall.EAFNOSUPPORT
)

// acceptErrors are some that an accept returns and that pass.
var acceptErrors = [...]error{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
}
