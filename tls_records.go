package chanio

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/buffer"
)

// recordConn is the connection under a tls.Conn. Once the handshake is over its
// writes never wait, since the reader makes them too, through crypto/tls, for
// alerts and key updates, and a poller may be reading for others as well: what the
// kernel does not take at once is left for the session's writer to flush. Inside
// rawConn's tryRead its reads do not wait either.
type recordConn struct {
	net.Conn
	raw     *rawConn // nil on the portable path
	fd      int      // the reader's: the socket, while reads shall not wait; else -1
	drained bool     // the reader's: its last read that did not wait has left nothing
	taken   int      // the reader's: how much was read without waiting, ever
	shaking bool     // the reader's: it has written records of a handshake, in a renegotiation
	session *Session // whose records are written; nil during the handshake

	writing atomic.Bool // the writer has a batch
	// flushing has room for the one flush that sends. Unlike to a mutex, whoever waits
	// for that is seen to wait by testing/synctest, and a timeout may end it.
	flushing chan struct{}

	mu        sync.Mutex     // never held across anything that blocks
	gathering bool           // the writer is about to flush: until then nothing is sent
	sending   bool           // flush is sending what it has taken from left
	left      []byte         // records that are still to be sent
	block     *buffer.Buffer // left's memory while records are gathered; else nil
	err       error          // what sending has failed with, for good
}

func (c *recordConn) Read(p []byte) (int, error) {
	if c.fd < 0 {
		if err := c.beforeWaiting(); err != nil {
			return 0, err
		}
		return c.Conn.Read(p)
	}
	n, err := readNow(c.fd, p)
	c.drained = n < len(p)
	c.taken += n
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// recordTypeHandshake is the first byte of a record with a handshake's message
// (RFC 5246, 6.2.1). In TLS 1.3 there are none behind the first handshake.
const recordTypeHandshake = 22

// Write is called for each record.
func (c *recordConn) Write(p []byte) (int, error) {
	if c.session == nil {
		return c.Conn.Write(p)
	}
	if p[0] == recordTypeHandshake { // the reader's, then: it runs renegotiations
		c.shaking = true
	}
	owed, err := c.post(p)
	if owed {
		c.session.needWriter()
		c.session.wakeWriter()
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// post sends p if it can be sent now, or else leaves it. It reports whether there
// is something left that nobody is about to flush.
func (c *recordConn) post(p []byte) (owed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false, c.err
	}
	if c.raw != nil && !c.gathering && !c.sending && len(c.left) == 0 {
		n, err := c.raw.writeNow(p)
		if err != nil {
			c.err = err
			return false, err
		}
		p = p[n:]
	}
	if len(p) == 0 {
		return false, nil
	}
	c.left = append(c.left, p...)
	return !c.gathering && !c.sending, nil
}

// gather makes records stay here until flush.
func (c *recordConn) gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering = true
	if c.block == nil {
		c.block = buffer.Get(recordBlockSize)
		c.left = append(c.block.B[:0], c.left...)
	}
}

// fits reports whether there is room for n bytes more, as records.
func (c *recordConn) fits(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left)+n+maxRecordOverhead <= recordBlockSize
}

// flush sends what is left, and what others leave meanwhile. A nil recordConn has
// nothing.
func (c *recordConn) flush() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	c.gathering = false
	nothing := len(c.left) == 0 && !c.sending && c.err == nil
	c.mu.Unlock()
	if nothing {
		return nil
	}
	c.flushing <- struct{}{}
	defer func() { <-c.flushing }()
	for {
		p, b, err := c.unload()
		if len(p) == 0 {
			return err
		}
		_, err = c.send(p)
		if b != nil {
			b.Free()
		}
		c.sent(err)
	}
}

// unload takes what is left, for flush to send.
func (c *recordConn) unload() ([]byte, *buffer.Buffer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, nil, c.err
	}
	p, b := c.left, c.block
	c.left, c.block = nil, nil
	c.sending = len(p) > 0
	return p, b, nil
}

// sent notes how sending what was unloaded has ended.
func (c *recordConn) sent(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = false
	c.err = err
}

// flushAlert sends what crypto/tls has to say to a peer about an error of reading.
// It does not wait for a batch of the writer's, which may never get through: reading
// may have failed because the connection has.
func (c *recordConn) flushAlert() {
	if c != nil && !c.writing.Load() {
		c.flush() // the session ends with the error of reading, whatever comes of this
	}
}

// settle is flush if much is left: a peer that asks for answers and takes none is
// not read from until it does, within WriteTimeout. The writer's records alone are
// never so many.
func (c *recordConn) settle() error {
	if c.owesMuch() {
		return c.flush()
	}
	return nil
}

// beforeWaiting is settle, but that in a renegotiation all goes out: the peer waits
// for it, and crypto/tls lets the writer wait for the reader then.
func (c *recordConn) beforeWaiting() error {
	if c.shaking {
		c.shaking = false
		return c.flush()
	}
	return c.settle()
}

func (c *recordConn) owesMuch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left) > recordBlockSize
}

// SetWriteDeadline does nothing. crypto/tls calls it around its close_notify:
// before it for 5 seconds, where the session has timeouts of its own, and
// behind it for a time in the past, with which it could not answer a key update
// of the peer any more, and so not follow it either.
func (c *recordConn) SetWriteDeadline(time.Time) error { return nil }

// Close is called only by crypto/tls, when the context of a handshake ends: it
// drops the connection, as shut(true) does.
func (c *recordConn) Close() error { return abortConn(c.Conn) }

// send writes p as the session's, under its WriteTimeout, for flush.
func (c *recordConn) send(p []byte) (int, error) {
	parts := [][]byte{p}
	if c.raw != nil {
		return c.raw.write(parts, c.session)
	}
	return writeBuffers(c.Conn, parts, recordBlockSize, c.session)
}

// errWouldBlock is what a read returns that shall not wait. It is temporary, or
// crypto/tls would refuse to read on.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "nothing to read" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

var _ net.Error = errWouldBlock{}
