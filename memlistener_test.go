package chanio_test

import (
	"net"
	"sync"
	"time"
)

// memConn is one end of a connection in memory that can end one direction, for
// synctest bubbles: a bubble knows every wait on it. Nothing is buffered: a
// write waits for its reader.
type memConn struct {
	net.Conn          // what is read
	out      net.Conn // what is written
	far      *memConn // the other end
}

// memPair returns the two ends of a connection in memory.
func memPair() (a, b *memConn) {
	toB, fromA := net.Pipe()
	toA, fromB := net.Pipe()
	a, b = &memConn{Conn: fromB, out: toB}, &memConn{Conn: fromA, out: toA}
	a.far, b.far = b, a
	return a, b
}

func (c *memConn) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c *memConn) CloseWrite() error           { return c.out.Close() }

func (c *memConn) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

func (c *memConn) SetDeadline(t time.Time) error {
	c.out.SetDeadline(t)
	return c.Conn.SetDeadline(t)
}

func (c *memConn) Close() error {
	c.out.Close()
	return c.Conn.Close()
}

// memListener is a net.Listener in memory, for synctest bubbles.
type memListener struct {
	conns  chan net.Conn
	errs   chan error // the error of the next Accept
	closed chan struct{}
	once   sync.Once // closes closed
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

// dial connects and returns the dialing end once the other end was accepted, or
// nil if the listener is closed before that.
func (l *memListener) dial() *memConn {
	a, b := memPair()
	select {
	case l.conns <- b:
		return a
	case <-l.closed:
		return nil
	}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return memAddr{} }

type memAddr struct{}

func (memAddr) Network() string { return "mem" }
func (memAddr) String() string  { return "mem" }
