//go:build !race

package sock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls on the hot paths do not block: MSG_DONTWAIT ensures that, even on
// a socket that was set to blocking. So Go's scheduler need not be told of them.
// syscall.Syscall does tell it, since after a call that blocks it may have to
// hand the processor to others. In a process that is idle between messages, each
// such call makes the scheduler wake the thread that watches for that. Without
// it, one client with one message in flight is served half as fast again, and a
// hundred clients a tenth faster.
//
// This requires memory that the library has just written, and not too much of
// it. A user's slice may be a page of a file, or swapped out: the call would
// wait for that page, and the next garbage collection, and hence the whole
// program, would wait for the call.

// RecvNow is a non-blocking recv(2) into the library's memory.
func RecvNow(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return result(n, errno)
}

// Waiting reports whether RecvNow would find data, an end or an error. It takes
// next to no stack. It uses poll(2) and not MSG_PEEK, which would consume a
// pending error, so that RecvNow would then find a clean end.
func Waiting(fd int) bool {
	poll := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	var now unix.Timespec
	n, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL,
		uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return n != 0 || errno != 0
}

// sendNow is a non-blocking send(2) of memory that the library has just
// written, at most rawLimit bytes of it.
func sendNow(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return result(n, errno)
}

// sendParts is a non-blocking sendmsg(2) of memory whose pages may have to be
// faulted in first, so the scheduler is told of it.
func sendParts(fd int, parts [][]byte) (int, error) {
	var entries [maxParts]unix.Iovec
	n := 0
	for _, p := range parts[:min(len(parts), maxParts)] {
		if len(p) > 0 {
			entries[n].Base = unsafe.SliceData(p)
			entries[n].SetLen(len(p))
			n++
		}
	}
	message := unix.Msghdr{Iov: &entries[0]}
	message.SetIovlen(n)
	sent, _, errno := syscall.Syscall(unix.SYS_SENDMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errno != 0 {
		return 0, errno
	}
	return int(sent), nil
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
