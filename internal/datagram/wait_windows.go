package datagram

import (
	"errors"
	"syscall"
)

// A waiter waits until a socket is readable, without a buffer: a RawConn.Read
// whose callback returns false once waits for that (by peeking with no bytes).
type waiter struct{}

func (*waiter) wait(raw syscall.RawConn) error {
	waited := false
	return raw.Read(func(uintptr) bool {
		ready := waited
		waited = true
		return ready
	})
}

// refusal reports that err, of a write, is not about that write: an ICMP message
// said that nobody takes what was sent before.
func refusal(err error) bool { return errors.Is(err, syscall.WSAECONNRESET) }

// undelivered reports that err, of a read, is what an ICMP message said of a
// datagram that was sent before.
func undelivered(err error) bool {
	const netReset = syscall.Errno(10052) // WSAENETRESET: its time to live ran out
	return refusal(err) || errors.Is(err, netReset)
}
