//go:build !linux && !windows

package chanio

import "syscall"

// ofConnection is for Linux, whose accept(2) returns the errors of connections.
func ofConnection(syscall.Errno) bool { return false }
