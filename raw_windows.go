package chanio

import (
	"net"
	"syscall"
)

// rawConn reads a stream socket without holding a buffer while it waits: a
// RawConn.Read whose callback returns false once waits until there is something
// to read (by a read of no bytes).
type rawConn struct {
	conn   net.Conn
	rc     syscall.RawConn
	waited bool
	wait   func(fd uintptr) bool
}

func newRawConn(conn net.Conn, rc syscall.RawConn) *rawConn {
	r := &rawConn{conn: conn, rc: rc}
	r.wait = func(uintptr) bool {
		ready := r.waited
		r.waited = true
		return ready
	}
	return r
}

func (r *rawConn) read() (*block, int, error) {
	r.waited = false
	if err := r.rc.Read(r.wait); err != nil {
		return nil, 0, err
	}
	b := largeBlocks.get()
	n, err := r.conn.Read(b.b)
	return b, n, err
}

func (r *rawConn) write(b *batch, s *Session) (int, error) { return writeBuffers(r.conn, b, s) }
