//go:build !linux

package datagram

import "syscall"

// useBatches leaves datagrams to go one by one.
func (c *Conn) useBatches() error { return nil }

// ownGroupsOnly does nothing: what Linux has to be told is the rule elsewhere.
func ownGroupsOnly(syscall.RawConn) {}
