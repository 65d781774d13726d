//go:build unix

package readable

import "syscall"

// ready peeks, which leaves what there is where it is. An error of the socket is
// for the read that follows.
func ready(fd uintptr) bool {
	var p [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), p[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

func wait(rc syscall.RawConn) error { return rc.Read(ready) }

func now(rc syscall.RawConn) bool {
	is := true
	err := rc.Control(func(fd uintptr) { is = ready(fd) })
	return err != nil || is
}
