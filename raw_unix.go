//go:build unix

package chanio

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawConn reads a stream socket without holding a buffer while it waits:
// RawConn.Read calls tryRead, which takes a buffer from the pool and gives it
// back if there was nothing. It must try before it waits, because Go's poller
// is edge-triggered.
type rawConn struct {
	rc syscall.RawConn

	// The reader's, between read and tryRead. The callbacks are fields because
	// a closure a call would be an allocation a call.
	tryReadFunc func(fd uintptr) bool
	block       *block
	n           int
	err         error

	out rawWriter
}

func newRawConn(conn net.Conn, rc syscall.RawConn) *rawConn {
	r := &rawConn{rc: rc}
	r.tryReadFunc = r.tryRead
	r.out.init(conn, rc)
	return r
}

func (r *rawConn) read() (*block, int, error) {
	if err := r.rc.Read(r.tryReadFunc); err != nil {
		return nil, 0, err
	}
	b, n, err := r.block, r.n, r.err
	r.block = nil
	switch {
	case err != nil:
		return b, 0, os.NewSyscallError("read", err)
	case n == 0:
		return b, 0, io.EOF
	}
	return b, n, nil
}

// tryRead reads what there is and reports whether that was anything.
func (r *rawConn) tryRead(fd uintptr) bool {
	b := largeBlocks.get()
	n, err := ignoreEINTR(func() (int, error) { return syscall.Read(int(fd), b.b) })
	if err == syscall.EAGAIN {
		b.free()
		return false
	}
	r.block, r.n, r.err = b, n, err
	return true
}

func (r *rawConn) write(b *batch, s *Session) (int, error) { return r.out.write(b, s) }

// ignoreEINTR repeats a system call that a signal interrupted.
func ignoreEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != syscall.EINTR {
			return n, err
		}
	}
}
