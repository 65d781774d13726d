//go:build !race

package chanio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the hot paths ask of the kernel never waits: MSG_DONTWAIT says so, even of
// a socket that somebody has made a blocking one. So Go's scheduler need not hear
// of it, as it does of a syscall.Syscall, behind which it may have to give the
// processor to others: in a process that is idle between messages, each makes it
// wake the thread that watches for that. One client with one message in flight is
// served half as fast again without, and a hundred clients a tenth.

// recvNow is recv(2) without waiting.
func recvNow(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return result(n, errno)
}

// sendNow is send(2) without waiting.
func sendNow(fd int, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return result(n, errno)
}

// sendPartsNow is sendNow of as many parts as one sendmsg(2) shall take.
func sendPartsNow(fd int, parts [][]byte) (int, error) {
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
	sent, _, errno := syscall.RawSyscall6(unix.SYS_SENDMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0, 0)
	return result(sent, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
