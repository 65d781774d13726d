//go:build unix

package datagram

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A waiter waits, without a buffer, until a socket is readable. It must look
// before it waits because Go's poller is edge-triggered.
type waiter struct {
	fds   [1]unix.PollFd
	ready func(fd uintptr) bool // a field: a closure per wait would be an allocation per wait
	err   error
}

func (w *waiter) wait(raw syscall.RawConn) error {
	if w.ready == nil {
		w.ready = w.look
	}
	w.err = nil
	if err := raw.Read(w.ready); err != nil {
		return err
	}
	return os.NewSyscallError("poll", w.err)
}

func (w *waiter) look(fd uintptr) bool {
	w.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	for {
		n, err := unix.Poll(w.fds[:], 0)
		if err != unix.EINTR {
			w.err = err
			return n != 0
		}
	}
}
