//go:build !unix && !windows

package datagram

import "syscall"

// A waiter does not wait where there is no way to do that without a buffer.
type waiter struct{}

func (*waiter) wait(syscall.RawConn) error { return nil }

// refusal and undelivered report that err is about an ICMP message; there is no
// way to know.
func refusal(error) bool     { return false }
func undelivered(error) bool { return false }
