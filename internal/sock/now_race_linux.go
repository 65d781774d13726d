//go:build race

package sock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The race detector knows what package syscall reads and writes, and that a
// receive happens after its send.

// RecvNow is read(2).
func RecvNow(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

// Waiting returns true: without a read it is unknown here.
func Waiting(int) bool { return true }

func sendNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }

func sendParts(fd int, parts [][]byte) (int, error) { return unix.Writev(fd, parts) }
