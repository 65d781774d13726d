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

// recordConn is the connection beneath a tls.Conn. After the handshake its
// writes never block, because the reader also writes through crypto/tls, for
// alerts and key updates. What the kernel does not take at once is left for the
// session's writer to flush. Inside rawConn's tryRead its reads do not block
// either. There it gives crypto/tls one whole record at a time, and so knows
// what is left.
type recordConn struct {
	net.Conn
	raw     *rawConn // nil on the portable path
	session *Session // the session that owns the records; nil during the handshake

	// Used by the reader, and during the handshake by the goroutine that
	// performs it.
	in      tlsrecord.Reader // for non-blocking reads
	fd      int              // the socket during non-blocking reads; otherwise -1
	drained bool             // the last non-blocking read emptied the socket
	ended   error            // ended the input of non-blocking reads
	given   int              // bytes given to crypto/tls by non-blocking reads
	place   tlsrecord.Place  // position of blocking reads
	exact   bool             // blocking reads take nothing after the current record
	shaking bool             // handshake records were written, in a renegotiation

	writing atomic.Bool // the writer has a batch
	// flushing has room for the one flush that sends. Unlike with a mutex,
	// testing/synctest sees waiters as blocked, and a timeout may end the wait.
	flushing chan struct{}

	mu        sync.Mutex     // never held while blocking
	gathering bool           // the writer is about to flush; until then nothing is sent
	sending   bool           // flush is sending what it has taken from left
	left      []byte         // records still to be sent
	block     *buffer.Buffer // left's memory while records are gathered; otherwise nil
	trying    [1][]byte      // what try writes
	last      int            // size of the last record
	tally     tlsrecord.Tally
	closed    bool  // close_notify was written, as the last record; nothing may follow
	err       error // the error that ended sending
}

func (c *recordConn) Read(p []byte) (int, error) {
	if c.fd >= 0 {
		return c.readNow(p)
	}
	c.beforeWaiting()
	if c.exact {
		p = p[:min(len(p), c.place.Left())]
	}
	n, err := c.Conn.Read(p)
	if c.place.Advance(p[:n]) {
		c.whole()
	}
	return n, err
}

// readNow is a non-blocking Read. It returns the rest of a record, or starts
// with the next one if that is whole.
func (c *recordConn) readNow(p []byte) (int, error) {
	if err := c.fill(); err != nil {
		return 0, err
	}
	n := c.in.Read(p)
	c.given += n
	c.whole()
	return n, nil
}

// fill reads without blocking until there is something to give crypto/tls. Its
// error is errWouldBlock if there is not, or the one that ended the input.
func (c *recordConn) fill() error {
	for !c.in.Whole() {
		if c.ended != nil {
			return c.ended
		}
		space := c.in.Space()
		n, err := readNow(c.fd, space)
		c.drained = n < len(space)
		switch {
		case err == errWouldBlock{}:
			return err
		case err == nil && n == 0 && c.in.Part():
			c.in.End() // crypto/tls sees that the end is inside a record
		case err == nil && n == 0:
			err = io.EOF
		}
		c.ended = err
		c.in.Filled(n)
	}
	return nil
}

// dry reports whether nothing was left to read without blocking.
func (c *recordConn) dry() bool { return c.drained && !c.in.Whole() }

// watch starts MessageTimeout for a partial record, unless it is already
// running for it, so that a peer that never sends the rest cannot hold the
// memory forever.
func (c *recordConn) watch() {
	if s := c.session; s != nil {
		s.watchPart(&s.timers.record)
	}
}

// whole stops MessageTimeout.
func (c *recordConn) whole() {
	if s := c.session; s != nil && s.timers.record.Load() != 0 {
		s.timers.record.Store(0)
	}
}

// notified reports whether the input, which has ended, did so by a close_notify,
// as far as is known. A nil recordConn has none.
func (c *recordConn) notified() bool { return c != nil && c.ended == nil }

// endInput releases what reading holds. It is called when the reader ends.
func (c *recordConn) endInput() {
	if c != nil {
		c.whole()
		c.in = tlsrecord.Reader{}
	}
}

// recordTypeHandshake is the first byte of a record with a handshake message
// (RFC 5246, section 6.2.1). In TLS 1.3 none follow the first handshake.
const recordTypeHandshake = 22

// Write is called for each record. It returns no error once the session owns
// the records: crypto/tls does not follow a key update of the peer whose answer
// failed, and could read nothing after it. The writer finds the error when it
// flushes.
func (c *recordConn) Write(p []byte) (int, error) {
	if c.session == nil {
		return c.Conn.Write(p)
	}
	if p[0] == recordTypeHandshake { // written by the reader, which performs renegotiations
		c.shaking = true
	}
	if owed, err := c.post(p); owed || err != nil {
		c.session.needWriter()
		c.session.wakeWriter()
	}
	return len(p), nil
}

// post sends p now if it can, or else leaves it. It reports whether something
// is left that no flush is about to send.
func (c *recordConn) post(p []byte) (owed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.closed {
		return false, c.err
	}
	c.last = len(p)
	if c.raw != nil && !c.gathering && !c.sending && len(c.left) == 0 {
		n := c.try(p)
		if c.err != nil {
			return false, c.err
		}
		p = p[n:]
	}
	if len(p) == 0 {
		return false, nil
	}
	c.left = append(c.left, p...)
	return !c.gathering && !c.sending, nil
}

// try writes as much of p as the kernel takes now, and returns how much that is. The
// caller holds mu, and nothing is being sent.
func (c *recordConn) try(p []byte) (n int) {
	c.trying[0] = p
	n, c.err = c.raw.out.TryWrite(c.trying[:], true)
	c.trying[0] = nil
	c.tally.Advance(p[:n])
	return n
}

// gather holds records back until flush.
func (c *recordConn) gather() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering = true
	if c.block == nil {
		c.block = buffer.Get(recordBlockSize)
		c.left = append(c.block.B[:0], c.left...)
	}
}

// fits reports whether there is room for n more bytes as records.
func (c *recordConn) fits(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left)+n+maxRecordOverhead <= recordBlockSize
}

// flush sends what is left, including what is left meanwhile. A nil recordConn
// has nothing.
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
		n, err := c.send(p)
		c.sent(p[:n], err)
		if b != nil {
			b.Free()
		}
	}
}

// flushNow sends as much of what is left as the kernel takes now, and leaves the
// rest to flush. It reports whether nothing remains. Only a session's writing
// calls it, so the only other flush that may be in progress is the reader's.
func (c *recordConn) flushNow() (all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gathering = false
	if len(c.left) > 0 && c.err == nil && !c.sending {
		n := c.try(c.left)
		c.left = append(c.left[:0], c.left[n:]...)
	}
	if len(c.left) == 0 && c.block != nil {
		c.block.Free()
		c.left, c.block = nil, nil
	}
	return len(c.left) == 0 && c.err == nil && !c.sending
}

// unload takes what is left for flush to send.
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

// sent records how sending ended, and that p went out.
func (c *recordConn) sent(p []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sending = false
	c.err = err
	c.tally.Advance(p)
}

// takeTally returns how many bytes of data went out in whole records since it
// was last called.
func (c *recordConn) takeTally() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally.Take()
}

// flushAlert sends crypto/tls's alert about a read error. It does not wait for
// a batch of the writer, which may never get through if the connection has
// failed.
func (c *recordConn) flushAlert() {
	if c != nil && !c.writing.Load() {
		c.flush() // the session ends with the read error in any case
	}
}

// settle blocks while too many TLS replies are queued for a peer that isn't
// reading, under WriteTimeout. The writer's records alone are never that many.
func (c *recordConn) settle() {
	if c.owesMuch() {
		c.reply()
	}
}

// reply is flush for the reader. An error ends the output, not the input: the
// writer finds it.
func (c *recordConn) reply() {
	if c.flush() != nil {
		c.session.needWriter()
		c.session.wakeWriter()
	}
}

// beforeWaiting is settle, except that in a renegotiation everything is sent:
// the peer waits for it, and crypto/tls makes the writer wait for the reader.
func (c *recordConn) beforeWaiting() {
	if c.place.Inside() {
		c.watch()
	}
	if c.shaking {
		c.shaking = false
		c.reply()
		return
	}
	c.settle()
}

// closeNotifySize returns the size of the close_notify that was just written.
func (c *recordConn) closeNotifySize() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *recordConn) owesMuch() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left) > recordBlockSize
}

// SetWriteDeadline sets no deadline, since the session has its own timeouts.
// crypto/tls calls it before its close_notify, with 5 seconds, and after it
// with a time in the past; from then on records are dropped. Nothing may follow
// a close_notify (RFC 8446, section 6.1), but crypto/tls still answers the
// peer's key updates, and could not follow them if the answer failed.
func (c *recordConn) SetWriteDeadline(t time.Time) error {
	if !t.After(time.Now()) {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
	}
	return nil
}

// Close is called only by crypto/tls, when the context of a handshake ends. It
// drops the connection, as shut(true) does.
func (c *recordConn) Close() error { return abortConn(underTLS(c.Conn)) }

// send writes p for flush, under the session's WriteTimeout.
func (c *recordConn) send(p []byte) (int, error) {
	parts := [][]byte{p}
	f := (*recordFlow)(c.session)
	defer c.session.timers.waiting.Store(0)
	if c.raw != nil {
		return c.raw.out.Write(parts, true, c.session.look(), f)
	}
	return sock.WriteParts(c.Conn, parts, recordBlockSize, c.session.look(), f)
}

// recordFlow is flow for records, whose bytes are not the user's. The reader
// may be the sender.
type recordFlow Session

func (f *recordFlow) Wait()      { (*flow)(f).Wait() }
func (f *recordFlow) Over() bool { return (*Session)(f).over() }

func (f *recordFlow) Progress(int) {
	s := (*Session)(f)
	s.pings.progress(s)
	s.movedOn()
}

// errWouldBlock is returned by a non-blocking read without data. It is
// temporary, or crypto/tls would refuse to continue reading.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "nothing to read" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

var _ net.Error = errWouldBlock{}
