//go:build unix && !linux

package datagram

import "syscall"

// hostIsolated is no error here: see the one of Linux.
const hostIsolated = syscall.Errno(0)
