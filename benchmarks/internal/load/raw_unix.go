//go:build unix

package load

import (
	"io"
	"net"
	"syscall"
)

// rawConn returns a socket for reading without package net's buffer, or nil if
// conn is not a socket.
func rawConn(conn net.Conn) syscall.RawConn {
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// receiveRaw is receive for a stream socket.
func receiveRaw(raw syscall.RawConn, yield func([]byte, bool) bool) error {
	for more := true; more; {
		var n int
		var err error
		waited := raw.Read(func(fd uintptr) bool {
			buf := pooled.Get().(*[readSize]byte)
			defer pooled.Put(buf)
			for {
				if n, err = syscall.Read(int(fd), buf[:]); err != syscall.EINTR {
					break
				}
			}
			if n > 0 {
				more = yield(buf[:n], true)
			}
			return err != syscall.EAGAIN
		})
		switch {
		case waited != nil:
			return waited
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
	}
	return nil
}
