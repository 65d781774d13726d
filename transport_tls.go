package chanio

import (
	"context"
	"crypto/tls"
	"net"

	"example.com/chanio/internal/sock"
)

// tlsStream is the transport of a session whose TLS the library has set up:
// there is a recordConn under its tls.Conn, which a *tls.Conn that a user
// brings does not have.
type tlsStream struct {
	stream  // over the tls.Conn, but for raw, which is the socket's
	tc      *tls.Conn
	records *recordConn

	// Where the peer may ask for a renegotiation, the writer waits inside tc until
	// that is over.
	renegotiates bool
}

// newTLSStream puts TLS over conn; side is tls.Server or tls.Client.
func newTLSStream(conn net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) *tlsStream {
	records := &recordConn{Conn: conn, fd: -1, flushing: make(chan struct{}, 1)}
	tc := side(records, config)
	t := &tlsStream{stream: *newStream(tc), tc: tc, records: records}
	// In a renegotiation crypto/tls waits for the peer inside Read, which it
	// can't with reads that do not wait.
	t.renegotiates = config.Renegotiation != tls.RenegotiateNever
	if socket := sock.Of(conn); socket != nil && !t.renegotiates {
		t.raw = newRawConn(conn, socket)
		t.raw.readTLS(tc, records)
		records.raw = t.raw
	}
	return t
}

// attach makes s the session whose records are written from now on. Nothing of
// s runs yet.
func (t *tlsStream) attach(s *Session) {
	t.records.session = s
	s.records = t.records
}

// handshake runs the handshake until ctx ends.
func (t *tlsStream) handshake(ctx context.Context) error {
	err := t.tc.HandshakeContext(ctx)
	if err != nil && t.raw != nil {
		// A kernel that closes a connection with unread input resets it, and the peer
		// would lose the alert that says why.
		t.raw.discard(maxUnreadHandshake)
	}
	return t.handshakeError(err)
}

// maxUnreadHandshake is how much of the input of a failed handshake is read: the
// largest that crypto/tls takes.
const maxUnreadHandshake = 64 << 10

// maxRecord is how many bytes a record carries at most, and maxRecordOverhead more
// than any version and cipher suite adds to them.
const (
	maxRecord         = 16 << 10
	maxRecordOverhead = 128
)

// write encrypts the batch, and sends the records in as few writes as it can. Only
// flush waits for the kernel, outside of tc: whoever reads through tc may have to
// write, too, and shall not be held up.
func (t *tlsStream) write(b *outBatch, f sock.Flow) error {
	t.records.writing.Store(true)
	defer t.records.writing.Store(false)
	if len(b.parts) > 1 || b.size > maxRecord {
		t.records.gather()
	}
	sealed := 0 // what f is not told of yet
	for _, p := range b.parts {
		for len(p) > 0 {
			piece := p[:min(len(p), maxRecord)]
			p = p[len(piece):]
			if !t.records.fits(len(piece)) {
				if err := t.records.flush(); err != nil {
					return err // some of it may have been sent
				}
				f.Progress(sealed)
				sealed = 0
				t.records.gather()
			}
			if err := t.seal(piece); err != nil {
				return err
			}
			sealed += len(piece)
		}
	}
	if err := t.records.flush(); err != nil {
		return err
	}
	f.Progress(sealed)
	return nil
}

// seal has tc make records of p, not longer than one.
func (t *tlsStream) seal(p []byte) error {
	if !t.renegotiates {
		_, err := t.tc.Write(p)
		return err
	}
	s := t.records.session
	s.beginWait(&s.timers.inside)
	defer s.timers.inside.Store(0)
	for {
		n, err := t.tc.Write(p)
		if n > 0 || err == nil || err.Error() != "tls: internal error" {
			return err
		}
		// crypto/tls says just that, having done nothing, where a renegotiation has
		// begun between two of its looks at the handshake: it is to be waited for.
		if err := t.tc.Handshake(); err != nil {
			return err
		}
	}
}

// closeWrite sends close_notify.
func (t *tlsStream) closeWrite() error {
	if err := t.stream.closeWrite(); err != nil {
		return err
	}
	return t.records.flush()
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
