package datagram

import "syscall"

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
