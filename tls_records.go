package chanio

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
	"example.com/chanio/internal/tlsrecord"
)

// recordConn is the connection under a tls.Conn. Once the handshake is over its
// writes never wait, since the reader makes them too, through crypto/tls, for
// alerts and key updates: what the kernel does not take at once is left for the
// session's writer to flush. Inside rawConn's tryRead its reads do not wait either;
// there it gives crypto/tls one whole record at a time, and so knows what is left.
type recordConn struct {
	net.Conn
	raw     *rawConn // nil on the portable path
	session *Session // whose records these are; nil during the handshake

	// The reader's, or during the handshake whoever shakes hands.
	in      tlsrecord.Reader // while reads do not wait
	fd      int              // the socket, while reads do not wait; else -1
	drained bool             // the last read that did not wait has left nothing in the socket
	given   int              // how many bytes crypto/tls has got by reads that do not wait
	place   tlsrecord.Place  // of the reads that wait
	exact   bool             // reads that wait take nothing behind the record that crypto/tls reads
	shaking bool             // it has written records of a handshake, in a renegotiation

	writing atomic.Bool // the writer has a batch
	// flushing has room for the one flush that sends. Unlike to a mutex, whoever waits
	// for that is seen to wait by testing/synctest, and a timeout may end it.
	flushing chan struct{}

	mu        sync.Mutex     // never held across anything that blocks
	gathering bool           // the writer is about to flush: until then nothing is sent
	sending   bool           // flush is sending what it has taken from left
	left      []byte         // records that are still to be sent
	block     *buffer.Buffer // left's memory while records are gathered; else nil
	closed    bool           // close_notify was written: nothing follows it
	err       error          // what sending has failed with, for good
}

func (c *recordConn) Read(p []byte) (int, error) {
	if c.fd >= 0 {
		return c.readNow(p)
	}
	if err := c.beforeWaiting(); err != nil {
		return 0, err
	}
	if c.exact {
		p = p[:min(len(p), c.place.Left())]
	}
	n, err := c.Conn.Read(p)
	if c.place.Advance(p[:n]) {
		c.whole()
	}
	return n, err
}

// readNow is Read that does not wait: it gives out what is left of a record, or
// begins with the next one if that is whole.
func (c *recordConn) readNow(p []byte) (int, error) {
	for {
		if n := c.in.Read(p); n > 0 {
			c.given += n
			c.whole()
			return n, nil
		}
		space := c.in.Space()
		n, err := readNow(c.fd, space)
		c.drained = n < len(space)
		if err != nil {
			return 0, err
		}
		if n == 0 {
			if !c.in.Part() {
				return 0, io.EOF
			}
			c.in.End() // crypto/tls sees that the end is inside a record
		}
		c.in.Filled(n)
	}
}

// dry reports whether there was nothing left to read without waiting.
func (c *recordConn) dry() bool { return c.drained && !c.in.Whole() }

// watch starts MessageTimeout for a record that has begun, unless it runs for that
// already. A peer that never sends the rest does not have it held for ever.
func (c *recordConn) watch() {
	if s := c.session; s != nil {
		s.watchPart(&s.timers.record)
	}
}

// whole ends it.
func (c *recordConn) whole() {
	if s := c.session; s != nil && s.timers.record.Load() != 0 {
		s.timers.record.Store(0)
	}
}

// endInput gives back what reading has held. It ends with the reader.
func (c *recordConn) endInput() {
	if c != nil {
		c.whole()
		c.in = tlsrecord.Reader{}
	}
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
	if c.err != nil || c.closed {
		return false, c.err
	}
	if c.raw != nil && !c.gathering && !c.sending && len(c.left) == 0 {
		n, err := c.raw.out.TryWrite(p)
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
	if c.place.Inside() {
		c.watch()
	}
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

// SetWriteDeadline sets no deadline: the session has timeouts of its own. crypto/tls
// calls it before its close_notify, for 5 seconds, and after that for a time that
// has come: from then on records are dropped. Nothing follows a close_notify (RFC
// 8446, 6.1), but crypto/tls answers the peer's key updates all the same, and could
// not follow them if the answer failed.
func (c *recordConn) SetWriteDeadline(t time.Time) error {
	if !t.After(time.Now()) {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
	}
	return nil
}

// Close is called only by crypto/tls, when the context of a handshake ends: it
// drops the connection, as shut(true) does.
func (c *recordConn) Close() error { return abortConn(c.Conn) }

// send writes p as the session's, under its WriteTimeout, for flush.
func (c *recordConn) send(p []byte) (int, error) {
	parts := [][]byte{p}
	f := (*recordFlow)(c.session)
	defer c.session.timers.waiting.Store(0)
	if c.raw != nil {
		return c.raw.out.Write(parts, true, c.session.look(), f)
	}
	return sock.WriteParts(c.Conn, parts, recordBlockSize, c.session.look(), f)
}

// recordFlow is flow for records, whose bytes are not the user's. The reader may
// be the one that sends.
type recordFlow Session

func (f *recordFlow) Wait()        { (*flow)(f).Wait() }
func (f *recordFlow) Progress(int) { (*Session)(f).movedOn() }
func (f *recordFlow) Over() bool   { return (*Session)(f).over() }

// errWouldBlock is what a read returns that shall not wait. It is temporary, or
// crypto/tls would refuse to read on.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "nothing to read" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

var _ net.Error = errWouldBlock{}
