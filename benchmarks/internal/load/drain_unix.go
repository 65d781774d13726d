//go:build unix

package load

import (
	"io"
	"net"
	"sync"
	"syscall"
)

// rawConn returns a socket for reading without package net's buffer, or nil if
// conn is not a socket.
func rawConn(conn net.Conn) syscall.RawConn {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

func drainRaw(raw syscall.RawConn, buffers *sync.Pool, read func(n int) bool) error {
	for {
		var n int
		var err error
		waited := raw.Read(func(fd uintptr) bool {
			buf := buffers.Get().(*[readSize]byte)
			defer buffers.Put(buf)
			for {
				if n, err = syscall.Read(int(fd), buf[:]); err != syscall.EINTR {
					return err != syscall.EAGAIN
				}
			}
		})
		switch {
		case waited != nil:
			return waited
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		if !read(n) {
			return nil
		}
	}
}
