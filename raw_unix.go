//go:build unix

package chanio

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
)

// rawConn reads a stream socket without holding a buffer while it waits.
// RawConn.Read calls tryRead, which takes a buffer from the pool and gives it
// back if there was nothing to read. It must try before it waits, because Go's
// poller is edge-triggered.
type rawConn struct {
	rc syscall.RawConn

	// Used by the reader, between read and tryRead. The callbacks are fields
	// because a closure would be an allocation per call.
	tryReadFunc func(fd uintptr) bool
	window      window
	buf         *buffer.Buffer
	n           int
	err         error
	begun       bool      // something has arrived
	tls         *tlsInput // tryRead reads through it; nil to read the socket itself

	out *sock.Writer
}

func newRawConn(conn net.Conn, socket *sock.Socket) *rawConn {
	r := &rawConn{rc: socket.RawConn(), out: sock.NewWriter(conn, socket)}
	r.tryReadFunc = r.tryRead
	return r
}

func (r *rawConn) read(w window) (*buffer.Buffer, int, error) {
	r.window = w
	if r.tls != nil {
		r.tls.records.settle() // reading has caused many replies that the peer does not take
	}
	if err := r.rc.Read(r.tryReadFunc); err != nil {
		return nil, 0, err
	}
	return r.result()
}

// result returns what tryRead has read, if anything.
func (r *rawConn) result() (*buffer.Buffer, int, error) {
	b, n, err := r.buf, r.n, r.err
	r.window, r.buf, r.n, r.err = window{}, nil, 0, nil
	return b, n, err
}

// readTLS makes read read through tc, whose records come from this socket.
func (r *rawConn) readTLS(tc *tls.Conn, records *recordConn) {
	r.tls = newTLSInput(tc, records)
	records.exact = true // what the handshake leaves, it leaves in the socket
}

// tryRead reads what is available and reports whether there was anything.
func (r *rawConn) tryRead(fd uintptr) bool {
	switch {
	case r.tls != nil:
		if !r.tls.waiting(fd) {
			return false
		}
	case !r.begun:
		if !sock.Waiting(int(fd)) {
			return false
		}
		r.begun = true
	}
	return r.readWaiting(fd)
}

// readWaiting reads what is available. It is separate from tryRead to keep
// small the stack with which sessions that have received nothing are parked.
func (r *rawConn) readWaiting(fd uintptr) bool {
	w := r.window
	b := w.buf
	if b == nil {
		b = buffer.Get(w.to)
	}
	n, err, ready := r.readNow(fd, b.B[w.from:w.to])
	if !ready {
		if b != w.buf {
			b.Free()
		}
		return false
	}
	r.buf, r.n, r.err = b, n, err
	return true
}

func (r *rawConn) readNow(fd uintptr, p []byte) (n int, err error, ready bool) {
	if r.tls != nil {
		return r.tls.read(fd, p)
	}
	n, err = readNow(int(fd), p)
	if _, wait := err.(errWouldBlock); wait {
		return 0, nil, false
	}
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err, true
}

// readNow reads from a socket without blocking.
func readNow(fd int, p []byte) (int, error) {
	n, err := sock.IgnoreEINTR(func() (int, error) { return sock.RecvNow(fd, p) })
	switch {
	case err == syscall.EAGAIN:
		return 0, errWouldBlock{}
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	}
	return n, nil
}
