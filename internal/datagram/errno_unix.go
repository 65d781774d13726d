//go:build unix

package datagram

import (
	"errors"
	"syscall"
)

// refusal reports that err, of a write, is not about that write: an ICMP message
// said that nobody takes what was sent before.
func refusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// undelivered reports that err, of a read, is what an ICMP message said of a
// datagram that was sent before.
func undelivered(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN,
		syscall.ENOPROTOOPT, syscall.EMSGSIZE, syscall.EPROTO:
		return true
	}
	return false
}

// refusesSource reports that err can mean that what was to be sent from a
// certain address can't be sent from there. Linux says that there is no route,
// or for IPv6 that the argument is invalid.
func refusesSource(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
