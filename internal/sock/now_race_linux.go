//go:build race

package sock

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The race detector knows what package syscall reads and writes, and that who
// receives is behind who sends.

// RecvNow is read(2).
func RecvNow(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

// Waiting says so: here it is not known without a read.
func Waiting(int) bool { return true }

func sendNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }

func sendParts(fd int, parts [][]byte) (int, error) { return unix.Writev(fd, parts) }
