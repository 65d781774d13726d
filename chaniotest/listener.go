package chaniotest

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// backlog is how many connections may wait for Accept, as many as in a kernel.
const backlog = 128

// A Listener is an in-memory net.Listener: [chanio.Serve] serves the
// connections made with its Dial. Its address and theirs are in 192.0.2.0/24,
// which is reserved for documentation. All methods are safe for concurrent use
// and block durably in the sense of [testing/synctest].
type Listener struct {
	addr    net.Addr
	dialed  atomic.Int64
	waiting chan *Conn // sent by Dial; never closed
	fails   chan error // sent by Fail; never closed
	closed  chan struct{}
	once    sync.Once // closes closed
}

var _ net.Listener = (*Listener)(nil)

// NewListener returns a listener. It has no goroutine.
func NewListener() *Listener {
	return &Listener{
		addr:    serverAddr(),
		waiting: make(chan *Conn, backlog),
		fails:   make(chan error),
		closed:  make(chan struct{}),
	}
}

// Dial connects over link; nil has no faults. As with a kernel's listener, it
// does not wait for Accept unless 128 connections are already waiting. The
// error is a *net.OpError: ECONNREFUSED once the listener is closed, otherwise
// ctx's cause. ctx bounds the call, not the connection.
func (l *Listener) Dial(ctx context.Context, link *Link) (*Conn, error) {
	client, server := newPipe(link, clientAddr(l.dialed.Add(1)-1), l.addr)
	err := l.offer(ctx, server)
	if err != nil {
		return nil, l.failed("dial", err)
	}
	return client, nil
}

// offer queues c for Accept.
func (l *Listener) offer(ctx context.Context, c *Conn) error {
	refused := os.NewSyscallError("connect", syscall.ECONNREFUSED)
	select {
	case <-l.closed:
		return refused
	case <-ctx.Done():
		return context.Cause(ctx)
	default:
	}
	select {
	case l.waiting <- c:
	case <-l.closed:
		return refused
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-l.closed: // perhaps too late for Close to see c
		l.refuse()
	default:
	}
	return nil
}

// Accept returns the accepted end of the next connection, a *Conn, or the error
// of a Fail, as it is. Once the listener is closed, the error is net.ErrClosed
// in a *net.OpError.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, l.failed("accept", net.ErrClosed)
	default:
	}
	select {
	case c := <-l.waiting: // before a Fail
		return c, nil
	default:
	}
	select {
	case c := <-l.waiting:
		return c, nil
	case err := <-l.fails:
		return nil, err
	case <-l.closed:
		return nil, l.failed("accept", net.ErrClosed)
	}
}

// Fail makes one Accept return err, once no connection is waiting. It returns
// when that Accept has taken err, or when the listener is closed. Use it to test
// what a server does when, say, the process is out of file descriptors (EMFILE).
func (l *Listener) Fail(err error) {
	select {
	case l.fails <- err:
	case <-l.closed:
	}
}

func (l *Listener) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: l.addr.Network(), Addr: l.addr, Err: err}
}

// Close stops accepting and resets the connections that have not been accepted.
// Accepted ones are not affected. Close is idempotent and returns nil.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.refuse()
	return nil
}

// refuse resets the waiting connections.
func (l *Listener) refuse() {
	for {
		select {
		case c := <-l.waiting:
			c.SetLinger(0)
			c.Close()
		default:
			return
		}
	}
}

// Addr returns the listener's address, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return l.addr }

func serverAddr() net.Addr { return &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 1} }

// clientAddr returns the address of the nth client, counted from 0.
func clientAddr(n int64) net.Addr {
	return &net.TCPAddr{IP: net.IP{192, 0, 2, 2}, Port: int(1 + n%65535)}
}
