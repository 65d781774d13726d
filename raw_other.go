//go:build !unix

package chanio

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
)

// rawConn reads a stream socket without holding a buffer while it waits.
// RawConn.Read with a callback that returns false once waits until there is
// something to read (by a zero-byte read).
type rawConn struct {
	conn   net.Conn // what is read: the socket, or TLS over it
	out    *sock.Writer
	rc     syscall.RawConn // nil if a read has to wait with its buffer
	large  bool            // rc is nil: the last read filled its block
	waited bool
	wait   func(fd uintptr) bool
}

func newRawConn(conn net.Conn, socket *sock.Socket) *rawConn {
	r := &rawConn{conn: conn, out: sock.NewWriter(conn, socket), rc: socket.RawConn()}
	r.wait = func(uintptr) bool {
		ready := r.waited
		r.waited = true
		return ready
	}
	return r
}

func (r *rawConn) read(w window) (*buffer.Buffer, int, error) {
	if r.rc != nil {
		r.waited = false
		if err := r.rc.Read(r.wait); err != nil {
			return nil, 0, err
		}
	}
	if w.buf == nil {
		if r.rc == nil && !r.large {
			w.to = min(w.to, w.from+smallBlockSize)
		}
		w.buf = buffer.Get(w.to)
	}
	n, err := r.conn.Read(w.buf.B[w.from:w.to])
	r.large = n >= smallBlockSize
	return w.buf, n, err
}

// readTLS makes read read through tc, whose records come from this socket. What
// tc has decrypted or could decrypt does not show at the socket, so waiting
// there is not possible, and a buffer is held: a small one, unless there is
// probably more to come.
func (r *rawConn) readTLS(tc *tls.Conn, _ *recordConn) { r.conn, r.rc = tc, nil }

// readNow is only for systems whose sockets support non-blocking reads.
func readNow(int, []byte) (int, error) { return 0, errors.ErrUnsupported }
