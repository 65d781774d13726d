package chanio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// netWriteSize is the length of the pieces into which writes are split. Queues
// are bounded in messages, and this bounds them in bytes.
const netWriteSize = 32 << 10

// NetConn returns a net.Conn over the session. It requires a raw stream: under
// framing, on udp and on unixpacket, where messages matter, Read and Write return
// errors.ErrUnsupported. Each call returns a separate view of the same stream.
// Using two views, or Recv or Send alongside one, is undefined.
//
// Its deadlines do not affect the session. A Write that times out returns the
// number of bytes accepted, as with a kernel's buffer. Only its own deadlines
// are os.ErrDeadlineExceeded: a Read after a timeout of the session or of its
// context returns an error that is ErrClosed.
//
// Close returns at once, and the session then does in the background what
// [Session.Close] does: it flushes and lingers, and Close and Shutdown of its
// listener or client wait for that. The connection also has CloseWrite and,
// over TLS, ConnectionState. It is safe for concurrent use.
func (s *Session) NetConn() net.Conn {
	s.ask(formMessages) // before the first Read: what arrived by then outlives the session
	c := &netConn{
		s:             s,
		reading:       make(chan struct{}, 1),
		writing:       make(chan struct{}, 1),
		readDeadline:  newDeadline(),
		writeDeadline: newDeadline(),
	}
	switch s.tr.(type) {
	case *tlsStream, *givenTLS:
		return tlsNetConn{c}
	}
	return c
}

// netConn is a session as a net.Conn. Its locks are one-slot channels, so that
// waiting for one still observes the deadline.
type netConn struct {
	s             *Session
	reading       chan struct{} // filled by the reader
	rest          []byte        // received and not yet read; guarded by reading
	partly        atomic.Bool   // rest is not empty
	writing       chan struct{} // filled by the writer: keeps the pieces of a Write together
	readDeadline  *deadline
	writeDeadline *deadline
	closed        atomic.Bool // set by Close
}

var (
	_ net.Conn   = (*netConn)(nil)
	_ halfCloser = (*netConn)(nil)
)

// Read reads what has arrived, at most len(p) bytes.
func (c *netConn) Read(p []byte) (int, error) {
	if c.s.keepsMessages() {
		return 0, c.s.errorAt("read", errors.ErrUnsupported)
	}
	expired := c.readDeadline.expired()
	if err := c.lock(c.reading, expired, "read"); err != nil {
		return 0, err
	}
	defer func() { <-c.reading }()
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.rest) == 0 {
		select {
		case m, ok := <-c.s.Recv():
			if !ok {
				return 0, c.endOfInput()
			}
			c.rest = m
		case <-expired:
			return 0, c.s.errorAt("read", os.ErrDeadlineExceeded)
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	if len(c.rest) == 0 {
		c.rest = nil // do not keep the buffer until the next read
	}
	c.partly.Store(c.rest != nil)
	return n, nil
}

// endOfInput is what Read returns when there is nothing more to read.
func (c *netConn) endOfInput() error {
	err := c.s.Err()
	switch {
	case c.s.life().input() == inputEnded:
		return io.EOF
	case isTimeout(err):
		return c.s.errorAt("read", endedError{err})
	case err != nil:
		return c.s.errorAt("read", err)
	}
	return c.s.errorAt("read", ErrClosed)
}

// isTimeout reports whether err is a timeout, of the session, its context or its
// connection, by any of the ways to ask.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

// endedError says that the session has timed out. It is not a timeout of the
// read, which would make callers read again and again.
type endedError struct{ cause error }

func (e endedError) Error() string        { return "the session has ended: " + e.cause.Error() }
func (e endedError) Is(target error) bool { return target == ErrClosed || target == net.ErrClosed }

// keepsMessages reports whether messages matter, which a net.Conn does not
// preserve.
func (s *Session) keepsMessages() bool { return s.set.codec != nil || s.traits.messages }

// Write sends p, in pieces if it is long.
func (c *netConn) Write(p []byte) (n int, err error) {
	if c.s.keepsMessages() {
		return 0, c.s.errorAt("write", errors.ErrUnsupported)
	}
	expired := c.writeDeadline.expired()
	if err := c.lock(c.writing, expired, "write"); err != nil {
		return 0, err
	}
	defer func() { <-c.writing }()
	for first := true; first || n < len(p); first = false {
		piece := p[n:min(len(p), n+netWriteSize)]
		err := c.s.put(append(make([]byte, 0, len(piece)), piece...), expired)
		if err == errGivenUp {
			err = c.s.errorAt("write", os.ErrDeadlineExceeded)
		}
		if err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// lock fills slot unless the deadline passes first or has already passed.
func (c *netConn) lock(slot chan<- struct{}, expired <-chan struct{}, op string) error {
	select {
	case <-expired:
		return c.s.errorAt(op, os.ErrDeadlineExceeded)
	default:
	}
	select {
	case slot <- struct{}{}:
		return nil
	case <-expired:
		return c.s.errorAt(op, os.ErrDeadlineExceeded)
	}
}

func (c *netConn) Close() error {
	c.closed.Store(true)
	c.s.beginClose()
	return nil
}

func (c *netConn) CloseWrite() error    { return c.s.CloseWrite() }
func (c *netConn) LocalAddr() net.Addr  { return c.s.LocalAddr() }
func (c *netConn) RemoteAddr() net.Addr { return c.s.RemoteAddr() }

func (c *netConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *netConn) SetReadDeadline(t time.Time) error  { return c.setDeadline(c.readDeadline, t) }
func (c *netConn) SetWriteDeadline(t time.Time) error { return c.setDeadline(c.writeDeadline, t) }

// setDeadline also works on a session that ended as long as there may be
// something to read: what it received, or its peer's end of stream.
func (c *netConn) setDeadline(d *deadline, t time.Time) error {
	s := c.s
	if c.closed.Load() || s.over() && !c.partly.Load() && len(s.recv) == 0 && !(s.Err() == nil && s.life().endedByItself()) {
		return s.errorAt("set deadline", ErrClosed)
	}
	d.set(t)
	return nil
}

// endedByItself reports whether the peer ended the session and Close was not
// called.
func (l life) endedByItself() bool { return l.input() == inputEnded && !l.closing() }

// A deadline is a movable point in time that a channel reports, as in net.Pipe.
// It differs in how it keeps a replaced timer from firing.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	ch    chan struct{} // closed once the deadline has passed
	over  bool          // ch is closed
}

func newDeadline() *deadline { return &deadline{ch: make(chan struct{})} }

// expired returns a channel that is closed when the deadline passes. If the
// deadline had passed and is moved, later calls return another channel.
func (d *deadline) expired() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ch
}

// set moves the deadline to t; the zero time means none.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	wait := time.Until(t)
	if !t.IsZero() && wait <= 0 {
		d.pass()
		return
	}
	if d.over {
		d.ch, d.over = make(chan struct{}), false
	}
	if t.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.timer == timer { // otherwise it fired while being replaced
			d.pass()
		}
	})
	d.timer = timer
}

// pass closes ch. The caller holds mu.
func (d *deadline) pass() {
	if !d.over {
		d.over = true
		close(d.ch)
	}
}
