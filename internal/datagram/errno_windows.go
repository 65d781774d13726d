package datagram

import (
	"errors"
	"syscall"
)

// refusal reports that err, of a write, is not about that write: an ICMP message
// said that nobody takes what was sent before.
func refusal(err error, _ bool) bool { return errors.Is(err, syscall.WSAECONNRESET) }

// undelivered reports that err, of a read, is what an ICMP message said of a
// datagram that was sent before.
func undelivered(err error) bool {
	const netReset = syscall.Errno(10052) // WSAENETRESET: its time to live ran out
	return refusal(err, true) || errors.Is(err, netReset)
}

// refusesSource reports that err is about the address to send from, which there
// is no way to choose.
func refusesSource(error) bool { return false }
