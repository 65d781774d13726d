package chanio

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"

	"example.com/chanio/internal/sock"
)

// tlsStream is the transport of a session whose TLS the library has set up. Its
// tls.Conn runs over a recordConn, which a user's *tls.Conn does not have.
type tlsStream struct {
	stream  // over the tls.Conn, except raw, which is the socket's
	tc      *tls.Conn
	records *recordConn

	// If the peer may request a renegotiation, the writer waits inside tc until
	// it is over.
	renegotiates bool

	sealed int // bytes of the batch that are in records and not yet reported as sent
}

// newTLSStream puts TLS over conn; side is tls.Server or tls.Client.
func newTLSStream(conn net.Conn, side func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) *tlsStream {
	records := &recordConn{Conn: conn, fd: -1, flushing: make(chan struct{}, 1)}
	tc := side(records, config)
	t := &tlsStream{stream: *newStream(tc), tc: tc, records: records}
	// In a renegotiation crypto/tls waits for the peer inside Read, which
	// requires blocking reads.
	t.renegotiates = config.Renegotiation != tls.RenegotiateNever
	if socket := sock.Of(conn); socket != nil && !t.renegotiates {
		t.raw = newRawConn(conn, socket)
		t.raw.readTLS(tc, records)
		records.raw = t.raw
	}
	return t
}

func (t *tlsStream) traits() traits {
	traits := t.stream.traits()
	if traits.now != nil {
		traits.now = t
	}
	return traits
}

// attach makes s the session whose records are written from now on. Nothing of
// s is running yet.
func (t *tlsStream) attach(s *Session) {
	t.records.session = s
	t.records.tally.Overhead = recordOverhead(t.tc.ConnectionState())
	s.records = t.records
}

// recordOverhead returns how many bytes a record has besides its header and its
// data. With a block cipher that varies by the padding; it then returns the most,
// and nothing unsent is counted as sent.
func recordOverhead(state tls.ConnectionState) int {
	const tag = 16
	suite := tls.CipherSuiteName(state.CipherSuite)
	switch {
	case state.Version >= tls.VersionTLS13:
		return tag + 1 // RFC 8446, 5.2: the content type, and no padding
	case strings.Contains(suite, "CHACHA20"):
		return tag // RFC 7905, 2
	case strings.Contains(suite, "GCM"):
		return tag + 8 // RFC 5288, 3: the explicit nonce
	}
	return 16 + 32 + 16 // RFC 5246, 6.2.3.2: IV, MAC (SHA-256 at most) and padding
}

// handshake runs the handshake until ctx ends.
func (t *tlsStream) handshake(ctx context.Context) error {
	err := t.tc.HandshakeContext(ctx)
	if err != nil && t.under != nil {
		// A kernel that closes a connection with unread input resets it, and
		// the peer would lose the alert that says why.
		t.under.Drain(maxUnreadHandshake)
	}
	return t.handshakeError(err)
}

// maxUnreadHandshake is how much input of a failed handshake is read: the
// largest handshake message that crypto/tls accepts.
const maxUnreadHandshake = 64 << 10

// maxRecord is the most bytes that a record carries, and maxRecordOverhead
// exceeds what any version and cipher suite adds.
const (
	maxRecord         = 16 << 10
	maxRecordOverhead = 128
)

// write encrypts the batch and sends the records in as few writes as it can.
// Only flush waits for the kernel, outside of tc: a reader inside tc may have
// to write too, and must not be held up.
func (t *tlsStream) write(b *outBatch, f sock.Flow) error {
	t.records.writing.Store(true)
	defer t.records.writing.Store(false)
	if len(b.parts) > 1 || b.size > maxRecord {
		t.records.gather()
	}
	for _, p := range b.parts {
		for len(p) > 0 {
			piece := p[:min(len(p), maxRecord)]
			p = p[len(piece):]
			if !t.records.fits(len(piece)) {
				if err := t.flush(f); err != nil {
					return err // some of it may have been sent
				}
				t.records.gather()
			}
			if err := t.seal(piece); err != nil {
				t.reportPart(f)
				return err
			}
			t.sealed += len(piece)
		}
	}
	return t.flush(f)
}

// flush sends what was sealed and reports it to f.
func (t *tlsStream) flush(f sock.Flow) error {
	if err := t.records.flush(); err != nil {
		t.reportPart(f)
		return err
	}
	t.reportAll(f)
	return nil
}

// reportAll reports to f that all that was sealed is sent.
func (t *tlsStream) reportAll(f sock.Flow) {
	f.Progress(t.sealed)
	t.sealed = 0
	t.records.takeTally()
}

// reportPart reports to f what went out in whole records, where the kernel has
// not taken everything.
func (t *tlsStream) reportPart(f sock.Flow) {
	if n := min(t.records.takeTally(), t.sealed); n > 0 {
		f.Progress(n)
		t.sealed -= n
	}
}

// writeNow encrypts a batch whose records go out in one write. The kernel may not
// take all of them: then they are all sealed and write has only to flush.
func (t *tlsStream) writeNow(b *outBatch, f sock.Flow) (all bool) {
	if !t.records.fits(b.size + (b.size/maxRecord+len(b.parts))*maxRecordOverhead) {
		return false
	}
	t.records.writing.Store(true) // until write has sent the rest, if there is one
	if len(b.parts) > 1 || b.size > maxRecord {
		t.records.gather()
	}
	for _, p := range b.parts {
		for piece := range slices.Chunk(p, maxRecord) {
			if t.seal(piece) != nil {
				return false // crypto/tls returns the error again
			}
			t.sealed += len(piece)
		}
	}
	b.taken(b.size)
	if !t.records.flushNow() {
		t.reportPart(f)
		return false
	}
	t.reportAll(f)
	t.records.writing.Store(false)
	return true
}

// seal makes tc encrypt p, which fits one record.
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
		// crypto/tls returns this error, having done nothing, if a
		// renegotiation began between two of its checks of the handshake. Wait
		// for it.
		if err := t.tc.Handshake(); err != nil {
			return err
		}
	}
}

// closeWrite sends close_notify.
func (t *tlsStream) closeWrite() (size int, err error) {
	if err := t.tc.CloseWrite(); err != nil {
		return 0, err
	}
	return t.records.closeNotifySize(), t.records.flush()
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
