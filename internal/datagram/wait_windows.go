package datagram

import "syscall"

// A waiter waits, without a buffer, until a socket is readable: RawConn.Read
// waits for that, by peeking zero bytes, once its callback has returned false.
type waiter struct{}

func (*waiter) wait(raw syscall.RawConn) error {
	waited := false
	return raw.Read(func(uintptr) bool {
		ready := waited
		waited = true
		return ready
	})
}
