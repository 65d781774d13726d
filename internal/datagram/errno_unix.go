//go:build unix

package datagram

import (
	"errors"
	"syscall"
)

// refusal reports whether err, of a write, is not about that write: an ICMP
// message said that an earlier datagram was not delivered. On a socket that is
// not connected, most of these errors are the write's own.
func refusal(err error, connected bool) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED:
		return true
	case syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENOPROTOOPT,
		syscall.EPROTO, syscall.EACCES, hostIsolated:
		return connected
	}
	return false
}

// undelivered reports whether err, of a read, comes from an ICMP message about
// an earlier datagram.
func undelivered(err error) bool {
	return refusal(err, true) || tooBig(err)
}

// tooBig reports whether err says that a datagram is too large or, on a
// connected socket, that an ICMP message said so of an earlier one.
func tooBig(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

// passes reports whether err, of a read, is a temporary lack of resources.
func passes(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// refusesSource reports whether err can mean that a datagram can't be sent from
// its source address. Linux says that there is no route or, for IPv6, that the
// argument is invalid.
func refusesSource(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
