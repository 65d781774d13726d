package chaniotest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A wire is the state shared by the two ends of a connection.
type wire struct {
	mu       sync.Mutex // guards the whole connection; never held while waiting
	changed  sync.Cond  // signals any change that a call may wait for
	up, down direction
	reset    bool // the connection is broken
}

// wait waits until something changes or the first of the times; the zero time
// never comes. The caller holds mu.
func (w *wire) wait(times ...time.Time) {
	var first time.Time
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	if !first.IsZero() {
		timer := time.AfterFunc(time.Until(first), func() {
			w.mu.Lock() // otherwise it could come before the wait
			defer w.mu.Unlock()
			w.changed.Broadcast()
		})
		defer timer.Stop()
	}
	w.changed.Wait()
}

// resetAt breaks the connection at the time at. The caller holds mu.
func (w *wire) resetAt(at, now time.Time) {
	if at.After(now) {
		time.AfterFunc(at.Sub(now), func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.resetNow(time.Now())
		})
		return
	}
	w.resetNow(now)
}

func (w *wire) resetNow(now time.Time) {
	if w.reset {
		return
	}
	w.reset = true
	w.up.drop(now)
	w.down.drop(now)
	w.changed.Broadcast()
}

// A Conn is one end of an in-memory connection that behaves like a
// *net.TCPConn. Writes are buffered, with backpressure. It supports half-close
// and read and write deadlines. A Close with unread input, or after
// SetLinger(0), resets the connection. Errors are a *net.OpError around the
// error that a kernel would return. All methods are safe for concurrent use.
//
// Waiting on a Conn blocks durably in the sense of [testing/synctest], and all
// times are those of its bubble.
type Conn struct {
	wire          *wire
	in, out       *direction
	local, remote net.Addr

	// Guarded by wire.mu.
	closed   bool
	abortive bool // SetLinger(0)
	writing  bool // a Write is in progress: others wait for it
	readBy   time.Time
	writeBy  time.Time
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of an in-memory connection. A nil link has no
// faults. The caller must close both ends.
func Pipe(l *Link) (client, server *Conn) {
	return newPipe(l, clientAddr(0), serverAddr())
}

func newPipe(l *Link, clientAddr, serverAddr net.Addr) (client, server *Conn) {
	if l == nil {
		l = new(Link)
	}
	w := new(wire)
	w.changed.L = &w.mu
	w.up = newDirection(w, l.Up, newRand(l.Seed, 1))
	w.down = newDirection(w, l.Down, newRand(l.Seed, 2))
	w.up.back, w.down.back = &w.down, &w.up

	w.mu.Lock() // a reset may come at once
	defer w.mu.Unlock()
	now := time.Now()
	w.up.strike(now)
	w.down.strike(now)
	return &Conn{wire: w, in: &w.down, out: &w.up, local: clientAddr, remote: serverAddr},
		&Conn{wire: w, in: &w.up, out: &w.down, local: serverAddr, remote: clientAddr}
}

// Read reads what has arrived, and waits while there is nothing.
func (c *Conn) Read(p []byte) (int, error) {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	waiting := false // the writer was told that this Read takes bytes
	defer func() {
		if waiting && c.in.wanted > 0 {
			c.in.wanted = 0
			w.changed.Broadcast() // to other Reads
		}
	}()
	for {
		now := time.Now()
		switch {
		case c.closed:
			return 0, c.failed("read", net.ErrClosed)
		case len(p) == 0:
			return 0, nil
		case passed(c.readBy, now):
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		}
		n := c.in.read(p, now)
		switch {
		case n > 0:
			w.changed.Broadcast()
			return n, nil
		case c.in.over(now):
			return 0, io.EOF
		case w.reset:
			return 0, c.failed("read", os.NewSyscallError("read", syscall.ECONNRESET))
		}
		if c.in.want(len(p)) {
			waiting = true
			w.changed.Broadcast()
		}
		w.wait(c.readBy, c.in.next())
	}
}

// Write writes p, and waits while there is no room. n is the number of bytes
// taken, even if there is an error.
func (c *Conn) Write(p []byte) (n int, err error) {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	broken := syscall.EPIPE
	if !w.reset {
		broken = syscall.ECONNRESET // if it happens now
	}
	mine := false // it is this Write's turn
	defer func() {
		if mine {
			c.writing = false
		}
		w.changed.Broadcast()
	}()
	for {
		now := time.Now()
		switch {
		case c.closed:
			return n, c.failed("write", net.ErrClosed)
		case passed(c.writeBy, now):
			return n, c.failed("write", os.ErrDeadlineExceeded)
		case w.reset:
			return n, c.failed("write", os.NewSyscallError("write", broken))
		case c.out.ended:
			return n, c.failed("write", os.NewSyscallError("write", syscall.EPIPE))
		}
		if mine || !c.writing {
			mine, c.writing = true, true
			took := c.out.take(p[n:], now)
			n += took
			if n == len(p) {
				return n, nil
			}
			if took > 0 {
				w.changed.Broadcast()
				continue // a reset may have come
			}
		}
		w.wait(c.writeBy)
	}
}

// CloseWrite ends the stream after what was written. Reading continues.
func (c *Conn) CloseWrite() error {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	c.out.end(time.Now())
	c.out.ended = true
	w.changed.Broadcast()
	return nil
}

// Close closes this end. What was written still arrives, followed by the end of
// the stream. If there is unread input, or after SetLinger(0), the connection
// is reset instead and what is in flight is lost. Input that arrives later also
// resets it.
func (c *Conn) Close() error {
	w := c.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	c.closed = true
	c.in.gone = true
	now := time.Now()
	switch {
	case c.out.dead: // nothing gets through
	case c.abortive, c.in.arrived(now):
		w.resetNow(now)
	default:
		c.out.end(now)
		if len(c.in.pieces) > 0 {
			c.in.answer(c.in.pieces[0].at, now)
		}
	}
	w.changed.Broadcast()
	return nil
}

// SetLinger(0) makes Close reset the connection. Other values mean the default.
func (c *Conn) SetLinger(sec int) error {
	return c.set(func() { c.abortive = sec == 0 })
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.set(func() { c.readBy, c.writeBy = t, t })
}

// SetReadDeadline sets when Read gives up; the zero time means never.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.set(func() { c.readBy = t })
}

// SetWriteDeadline sets when Write gives up; the zero time means never.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.set(func() { c.writeBy = t })
}

func (c *Conn) set(change func()) error {
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.closed {
		return c.failed("set", net.ErrClosed)
	}
	change()
	c.wire.changed.Broadcast()
	return nil
}

// LocalAddr returns this end's address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.local.Network(), Source: c.local, Addr: c.remote, Err: err}
}

// passed reports whether the deadline t has passed.
func passed(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }
