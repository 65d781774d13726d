//go:build unix

package datagram

import (
	"errors"
	"syscall"
)

// refusal reports that err, of a write, is not about that write: an ICMP message
// said that what was sent before was not delivered. On a socket that is not
// connected most of these errors are the write's own.
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

// undelivered reports that err, of a read, is what an ICMP message said of a
// datagram that was sent before.
func undelivered(err error) bool {
	return refusal(err, true) || tooBig(err)
}

// tooBig reports that err says that a datagram is larger than it can be, or, on a
// connected socket, that an ICMP message said so of one that was sent before.
func tooBig(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }

// passes reports that err, of a read, is about resources that come back.
func passes(err error) bool {
	return errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// refusesSource reports that err can mean that what was to be sent from a
// certain address can't be sent from there. Linux says that there is no route,
// or for IPv6 that the argument is invalid.
func refusesSource(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
