//go:build unix

package datagram

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A waiter waits until a socket is readable, without a buffer. It has to look
// before it waits, because Go's poller is edge-triggered.
type waiter struct {
	fds   [1]unix.PollFd
	ready func(fd uintptr) bool // a field: a closure a wait would be an allocation a wait
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

// refusal reports that err, of a write, is not about that write: an ICMP message
// said that nobody takes what was sent before.
func refusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// undelivered reports that err, of a read, is what an ICMP message said of a
// datagram that was sent before.
func undelivered(err error) bool {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return false
	}
	switch errno {
	case syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN,
		syscall.ENOPROTOOPT, syscall.EMSGSIZE, syscall.EPROTO:
		return true
	}
	return false
}
