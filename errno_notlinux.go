//go:build !linux && !windows

package chanio

import "syscall"

// ofConnection returns false: only Linux's accept(2) returns the errors of
// connections.
func ofConnection(syscall.Errno) bool { return false }
