package datagram

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// refusal reports that err, of a write, is not about that write: an ICMP message
// said that nobody takes what was sent before.
func refusal(err error, _ bool) bool { return errors.Is(err, syscall.WSAECONNRESET) }

// undelivered reports that err, of a read, is what an ICMP message said of a
// datagram that was sent before.
func undelivered(err error) bool {
	return refusal(err, true) || errors.Is(err, windows.WSAENETRESET) // its time to live ran out
}

// tooBig reports that err, of a write, may be what an ICMP message said of a
// datagram that was sent before, which Windows does not tell.
func tooBig(error) bool { return false }

// passes reports that err, of a read, is about resources that come back.
func passes(err error) bool { return errors.Is(err, windows.WSAENOBUFS) }

// refusesSource reports that err can mean that what was to be sent from a
// certain address can't be sent from there.
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
