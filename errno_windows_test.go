package chanio

import "golang.org/x/sys/windows"

// What a read or a write of a connection returns that the peer has reset.
const (
	errReset  = windows.WSAECONNRESET
	errBroken = windows.WSAECONNABORTED
)

// errUnreachable is what an ICMP refusal makes of a read.
const errUnreachable = windows.WSAECONNRESET

// errNoAddress and errNoFamily are of addresses that the system does not have.
const (
	errNoAddress = windows.WSAEADDRNOTAVAIL
	errNoFamily  = windows.WSAEAFNOSUPPORT
)

// acceptErrors are some that an accept returns and that pass.
var acceptErrors = [...]error{
	windows.WSAEMFILE, windows.WSAENOBUFS, windows.ERROR_NOT_ENOUGH_MEMORY,
	windows.WSAECONNABORTED, windows.WSAECONNRESET,
}
