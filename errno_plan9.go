package chanio

import "syscall"

// errorNumber is an error of the system: here a text, of which package syscall
// knows only a few.
type errorNumber = syscall.ErrorString

const (
	errAddressInUse errorNumber = "address in use"
	errRefused      errorNumber = "connection refused"
	errPeerReset    errorNumber = "connection reset"
	errBrokenPipe   errorNumber = "write on closed pipe"
)

// passing reports whether an accept that failed with errno may succeed later.
func passing(errno errorNumber) bool { return errno == syscall.EMFILE || errno == syscall.EINTR }
