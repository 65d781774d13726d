//go:build !linux

package datagram

import "syscall"

// useBatches does nothing: datagrams go one by one.
func (c *Conn) useBatches() error { return nil }

// ownGroupsOnly does nothing: elsewhere a socket gets only its own groups.
func ownGroupsOnly(syscall.RawConn) {}
