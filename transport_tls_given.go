package chanio

import (
	"context"
	"crypto/tls"
	"net"
	"sync"

	"example.com/chanio/internal/sock"
)

// givenTLS is the transport of a session over a user's *tls.Conn. If its
// handshake is still to come, the reader performs it first and the writer waits
// for it. There is no recordConn under it, so each record is a separate write,
// and a waiting session holds its buffers.
type givenTLS struct {
	stream
	tc *tls.Conn

	writing sync.Mutex // held by a write
	failure error      // of the last write; guarded by writing

	shaken   chan struct{} // closed by the reader after the handshake
	shakeErr error         // its result; set before shaken is closed

	mu          sync.Mutex
	handshaken  bool
	interrupted bool // interrupt reading once the handshake is over
}

// newGivenTLS returns the transport over a *tls.Conn, or a Handover of one.
func newGivenTLS(conn net.Conn) *givenTLS {
	t := &givenTLS{stream: *newStream(conn), shaken: make(chan struct{})}
	t.tc = t.conn.(*tls.Conn)
	return t
}

// handshake performs the handshake, or waits for the goroutine that is
// performing it. The end of ctx ends the handshake and the connection.
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

// run performs the handshake before it reads.
func (t *givenTLS) run(s *Session) {
	t.shakeErr = t.handshake(context.Background())
	close(t.shaken)
	if t.shakeErr != nil {
		s.end(t.shakeErr) // there is nothing to read then
	}
	s.readLoop(t)
}

// awaitHandshake waits for the reader's handshake. It waits for a channel
// rather than the lock in crypto/tls, on which a synctest bubble's time would
// stand still.
func (t *givenTLS) awaitHandshake() error {
	<-t.shaken
	return t.shakeErr
}

// interrupt spares the handshake: a deadline would make it fail permanently,
// and Close would not flush what was accepted before it.
func (t *givenTLS) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.interrupted = true
	if t.handshaken {
		t.stream.interrupt()
	}
}

func (t *givenTLS) write(b *outBatch, f sock.Flow) error {
	f.Wait() // the handshake counts as part of the write
	if err := t.awaitHandshake(); err != nil {
		return err
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	t.failure = t.stream.write(b, f)
	return t.failure
}

// broken returns the writer's failure; see cutShort. On a connection that is gone
// no write waits for the peer.
func (t *givenTLS) broken() error {
	if t.under == nil || !t.under.End().Gone {
		return nil
	}
	t.writing.Lock()
	defer t.writing.Unlock()
	return t.failure
}

// closeWrite sends a close_notify after the handshake. A session that is being
// closed and has written nothing does not wait for the handshake.
func (t *givenTLS) closeWrite() (size int, err error) {
	t.mu.Lock()
	closing := t.interrupted
	t.mu.Unlock()
	if !closing {
		if err := t.awaitHandshake(); err != nil {
			return 0, err
		}
	}
	return maxCloseNotify, t.tc.CloseWrite()
}

// maxCloseNotify is the size of the largest record that holds a close_notify: a
// header, an IV, and the alert with a SHA-384 MAC, padded (RFC 5246, section
// 6.2.3.2).
const maxCloseNotify = 5 + 16 + 64
