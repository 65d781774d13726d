package sock

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// fionbio is FIONBIO: whether calls that are not overlapped wait.
const fionbio = 0x8004667e

// Drain discards waiting input, up to limit bytes. Windows, too, resets a
// connection that is closed with unread input. Package net's own calls are
// overlapped, so that they go on as before.
func (s *Socket) Drain(limit int) {
	var block [16 << 10]byte
	s.rc.Control(func(fd uintptr) {
		socket := windows.Handle(fd)
		var n, flags uint32
		on := uint32(1)
		if err := windows.WSAIoctl(socket, fionbio, (*byte)(unsafe.Pointer(&on)), uint32(unsafe.Sizeof(on)), nil, 0, &n, nil, 0); err != nil {
			return
		}
		for limit > 0 {
			b := windows.WSABuf{Len: uint32(len(block)), Buf: &block[0]}
			if err := windows.WSARecv(socket, &b, 1, &n, &flags, nil, nil); err != nil || n == 0 {
				return
			}
			limit -= int(n)
		}
	})
}
