//go:build unix && !linux

package datagram

import "syscall"

// hostIsolated matches no error here; see the one for Linux.
const hostIsolated = syscall.Errno(0)
