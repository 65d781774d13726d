package datagram

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// refusal reports whether err, of a write, is not about that write: an ICMP
// message said that nothing receives what was sent before.
func refusal(err error, _ bool) bool { return errors.Is(err, syscall.WSAECONNRESET) }

// undelivered reports whether err, of a read, comes from an ICMP message about
// an earlier datagram.
func undelivered(err error) bool {
	return refusal(err, true) || errors.Is(err, windows.WSAENETRESET) // its TTL expired
}

// tooBig reports whether err, of a write, may come from an ICMP message about an
// earlier datagram, which Windows does not report.
func tooBig(error) bool { return false }

// passes reports whether err, of a read, is a temporary lack of resources.
func passes(err error) bool { return errors.Is(err, windows.WSAENOBUFS) }

// refusesSource reports whether err can mean that a datagram can't be sent from
// its source address.
func refusesSource(err error) bool {
	for _, errno := range []syscall.Errno{
		windows.WSAEADDRNOTAVAIL, windows.WSAEINVAL, windows.WSAENETUNREACH, windows.WSAEHOSTUNREACH,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
