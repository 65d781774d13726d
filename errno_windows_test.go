package chanio_test

import "golang.org/x/sys/windows"

// These are the errors of a read or a write on a connection that the peer has
// reset.
const (
	errReset  = windows.WSAECONNRESET
	errBroken = windows.WSAECONNABORTED
)

// errUnreachable is the error that an ICMP refusal causes in a read.
const errUnreachable = windows.WSAECONNRESET

// errNoAddress and errNoFamily are the errors for addresses that the system
// does not have.
const (
	errNoAddress = windows.WSAEADDRNOTAVAIL
	errNoFamily  = windows.WSAEAFNOSUPPORT
)

// acceptErrors are some errors of accept that pass.
var acceptErrors = [...]error{
	windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY,
	windows.WSAECONNABORTED, windows.WSAECONNRESET,
}
