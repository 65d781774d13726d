package chanio

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
)

// tlsStream is the transport of a session whose TLS the library has set up:
// there is a recordConn under its tls.Conn, which a *tls.Conn that a user
// brings does not have.
type tlsStream struct {
	stream  // over the tls.Conn, but for raw, which is the socket's
	tc      *tls.Conn
	records *recordConn
}

// newTLSStream puts TLS over conn; side is tls.Server or tls.Client.
func newTLSStream(conn net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) *tlsStream {
	records := &recordConn{Conn: conn, fd: -1}
	tc := side(records, config)
	t := &tlsStream{stream: *newStream(tc), tc: tc, records: records}
	if rc := streamSocket(conn); rc != nil {
		t.raw = newRawConn(conn, rc)
		t.raw.readTLS(tc, records)
		records.raw = t.raw
	}
	return t
}

// handshake runs the handshake until ctx ends.
func (t *tlsStream) handshake(ctx context.Context) error {
	return wrapOp("handshake", t.local.Network(), t.local, t.remote, t.tc.HandshakeContext(ctx))
}

// write encrypts the batch, and sends the records in as few writes as it can.
func (t *tlsStream) write(b *batch, s *Session) (int, error) {
	t.records.cork(s)
	var err error
	for _, p := range b.parts {
		if _, err = t.tc.Write(p); err != nil {
			break
		}
	}
	if flushErr := t.records.uncork(); err == nil {
		err = flushErr
	}
	if err != nil {
		return 0, err // how much of it the peer could decrypt is not known
	}
	return b.size, nil
}

// recordConn is the connection under a tls.Conn. While it is corked it gathers
// the records that crypto/tls would write one by one; inside rawConn's tryRead
// its reads do not wait.
type recordConn struct {
	net.Conn
	raw *rawConn // nil on the portable path
	fd  int      // the reader's: the socket, while reads shall not wait; else -1

	mu      sync.Mutex // the TLS writer's: alone held across a write, as in crypto/tls
	session *Session   // whose writer has corked; nil while it is not corked
	buf     *block     // while it is corked
	used    int
}

func (c *recordConn) Read(p []byte) (int, error) {
	if c.fd < 0 {
		return c.Conn.Read(p)
	}
	n, err := readNow(c.fd, p)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// Write is called for each record. Besides the session's writer the reader
// calls it, through crypto/tls, for alerts and key updates.
func (c *recordConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		return c.Conn.Write(p)
	}
	if c.used+len(p) > len(c.buf.b) {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > len(c.buf.b) {
		return c.send(p)
	}
	c.used += copy(c.buf.b[c.used:], p)
	return len(p), nil
}

// cork starts gathering for s.
func (c *recordConn) cork(s *Session) {
	c.mu.Lock()
	c.session, c.buf = s, largeBlocks.get()
	c.mu.Unlock()
}

// uncork sends what was gathered, and ends gathering: crypto/tls sets a write
// deadline in the past behind its close_notify, which must be out by then.
func (c *recordConn) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.flush()
	c.buf.free()
	c.session, c.buf = nil, nil
	return err
}

// flush sends what was gathered. The caller holds mu.
func (c *recordConn) flush() error {
	p := c.buf.b[:c.used]
	c.used = 0
	if len(p) == 0 {
		return nil
	}
	_, err := c.send(p)
	return err
}

func (c *recordConn) send(p []byte) (int, error) {
	parts := [][]byte{p}
	if c.raw != nil {
		return c.raw.write(parts, c.session)
	}
	return writeBuffers(c.Conn, parts, c.session)
}

// errWouldBlock is what a read returns that shall not wait. It is temporary, or
// crypto/tls would refuse to read on.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "nothing to read" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

var _ net.Error = errWouldBlock{}
