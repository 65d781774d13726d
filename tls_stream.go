package chanio

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"
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
	// In a renegotiation crypto/tls waits for the peer inside Read, which it
	// can't with reads that do not wait.
	if rc := streamSocket(conn); rc != nil && config.Renegotiation == tls.RenegotiateNever {
		t.raw = newRawConn(conn, rc)
		t.raw.readTLS(tc, records)
		records.raw = t.raw
	}
	return t
}

// attach makes s the session whose records are written from now on. Nothing of
// s runs yet.
func (t *tlsStream) attach(s *Session) { t.records.session = s }

// handshake runs the handshake until ctx ends.
func (t *tlsStream) handshake(ctx context.Context) error {
	return t.handshakeError(t.tc.HandshakeContext(ctx))
}

// maxRecord is how many bytes a record carries at most.
const maxRecord = 16 << 10

// write encrypts the batch, and sends the records in as few writes as it can.
func (t *tlsStream) write(b *batch, _ *Session) (int, error) {
	if len(b.parts) == 1 && len(b.parts[0]) <= maxRecord {
		return t.tc.Write(b.parts[0]) // one record: there is nothing to gather
	}
	t.records.cork()
	sent, sealed, err := 0, 0, error(nil)
	for _, p := range b.parts {
		for len(p) > 0 && err == nil {
			piece := p[:min(len(p), maxRecord)]
			p = p[len(piece):]
			_, err = t.tc.Write(piece)
			if t.records.flushed() {
				sent = sealed // without piece, for which there was no room
			}
			sealed += len(piece)
		}
	}
	if flushErr := t.records.uncork(); err == nil {
		err = flushErr
	}
	if err != nil {
		return sent, err // or more, if the last write failed in its middle
	}
	return sealed, nil
}

// handshakeError says where a handshake failed. crypto/tls's own errors do not,
// and the connection's do not say that it was in the handshake.
func (t *stream) handshakeError(err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*net.OpError); ok && e.Net != "" {
		err = e.Err
	}
	network := ""
	if t.remote != nil {
		network = t.remote.Network()
	}
	return &opError{&net.OpError{Op: "handshake", Net: network, Source: t.local, Addr: t.remote, Err: err}}
}

// recordConn is the connection under a tls.Conn. While it is corked it gathers
// the records that crypto/tls would write one by one; inside rawConn's tryRead
// its reads do not wait.
type recordConn struct {
	net.Conn
	raw     *rawConn // nil on the portable path
	fd      int      // the reader's: the socket, while reads shall not wait; else -1
	session *Session // whose records are written; nil during the handshake

	mu   sync.Mutex // the TLS writer's: alone held across a write, as in crypto/tls
	buf  *block     // what records are gathered in; nil while it is not corked
	used int
	gone bool // what was gathered was sent, since flushed asked last
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
	switch {
	case c.session == nil:
		return c.Conn.Write(p)
	case c.buf == nil:
		return c.send(p)
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

// SetWriteDeadline does nothing. crypto/tls calls it around its close_notify:
// before it for 5 seconds, where the session has timeouts of its own, and
// behind it for a time in the past, with which it could not answer a key update
// of the peer any more, and so not follow it either.
func (c *recordConn) SetWriteDeadline(time.Time) error { return nil }

// Close is called only by crypto/tls, when the context of a handshake ends: it
// drops the connection, as shut(true) does.
func (c *recordConn) Close() error { return abortConn(c.Conn) }

// cork starts gathering.
func (c *recordConn) cork() {
	c.mu.Lock()
	c.buf = recordBlocks.get()
	c.mu.Unlock()
}

// uncork sends what was gathered, and ends gathering.
func (c *recordConn) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.flush()
	c.buf.free()
	c.buf = nil
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
	c.gone = err == nil
	return err
}

// flushed reports whether what was gathered was sent since it was asked last.
func (c *recordConn) flushed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := c.gone
	c.gone = false
	return gone
}

// send writes p as the session's, under its WriteTimeout. The caller holds mu.
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
