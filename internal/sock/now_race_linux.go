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

func sendNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }

func sendParts(fd int, parts [][]byte) (int, error) { return unix.Writev(fd, parts) }
