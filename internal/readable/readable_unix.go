//go:build unix

package readable

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// ready uses poll(2) and not MSG_PEEK, which would take an error of the socket:
// the read that follows would find a clean end instead.
func ready(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds[:], 0)
		if err != unix.EINTR {
			return n != 0
		}
	}
}

func wait(rc syscall.RawConn) error { return rc.Read(ready) }

func now(rc syscall.RawConn) bool {
	is := true
	err := rc.Control(func(fd uintptr) { is = ready(fd) })
	return err != nil || is
}
