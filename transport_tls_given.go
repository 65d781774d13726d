package chanio

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"example.com/chanio/internal/sock"
)

// givenTLS is the transport of a session over a *tls.Conn that a user made. Its
// handshake may still be to come: the reader begins with it, and the writer
// waits for that. There is no recordConn under it, so each record is a write of
// its own, and a session that waits holds its buffers.
type givenTLS struct {
	stream
	tc *tls.Conn

	shaken   chan struct{} // closed by the reader, behind the handshake
	shakeErr error         // how that went; set before

	mu          sync.Mutex
	handshaken  bool
	interrupted bool // what is read, as soon as the handshake is over
}

// newGivenTLS returns the transport over a *tls.Conn, or a Handover of one.
func newGivenTLS(conn net.Conn) *givenTLS {
	t := &givenTLS{stream: *newStream(conn), shaken: make(chan struct{})}
	t.tc = t.conn.(*tls.Conn)
	return t
}

// handshake runs the handshake, or waits until who runs it is done, or until
// ctx ends, and with it the connection.
func (t *givenTLS) handshake(ctx context.Context) error {
	if err := t.tc.HandshakeContext(ctx); err != nil {
		return t.handshakeError(err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.handshaken {
		t.handshaken = true
		if t.interrupted {
			t.stream.interrupt()
		}
	}
	return nil
}

// run shakes hands before it reads.
func (t *givenTLS) run(s *Session) {
	t.shakeErr = t.handshake(context.Background())
	close(t.shaken)
	if t.shakeErr != nil {
		s.end(t.shakeErr) // and there is nothing to read
	}
	s.readLoop(&t.stream)
}

// awaitHandshake waits for the reader's handshake: for a channel, not for the
// lock in crypto/tls, behind which a synctest bubble's time would stand still.
func (t *givenTLS) awaitHandshake() error {
	<-t.shaken
	return t.shakeErr
}

// interrupt spares the handshake: a deadline would fail it for good, and Close
// would not flush what was accepted before it.
func (t *givenTLS) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.interrupted = true
	if t.handshaken {
		t.stream.interrupt()
	}
}

func (t *givenTLS) write(b *outBatch, f sock.Flow) error {
	f.Wait() // the handshake is a part of the write
	if err := t.awaitHandshake(); err != nil {
		return err
	}
	return t.stream.write(b, f)
}

// closeWrite sends a close_notify behind the handshake; but a session that is
// being closed, and has not even written anything, does not wait for that.
func (t *givenTLS) closeWrite() error {
	t.mu.Lock()
	closing := t.interrupted
	t.mu.Unlock()
	if !closing {
		if err := t.awaitHandshake(); err != nil {
			return err
		}
	}
	return t.stream.closeWrite()
}
