//go:build !unix && !windows

package datagram

import "syscall"

// A waiter does not wait: there is no way to wait without a buffer here.
type waiter struct{}

func (*waiter) wait(syscall.RawConn) error { return nil }
