//go:build !unix && !windows

package datagram

import "syscall"

// A waiter does not wait where there is no way to do that without a buffer.
type waiter struct{}

func (*waiter) wait(syscall.RawConn) error { return nil }
