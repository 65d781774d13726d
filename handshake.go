package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// handshakes are the connections of a listener that are in their TLS handshake,
// or done with it and not yet received from Sessions. Each has a goroutine,
// which run waits for.
type handshakes struct {
	limit      int // of both together; 0: none
	goroutines sync.WaitGroup

	mu          sync.Mutex
	running     []net.Conn // oldest first
	undelivered int
}

// full reports that there is no place for another connection, and no handshake
// that could be dropped for it.
func (h *handshakes) full() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limit > 0 && len(h.running) == 0 && h.undelivered >= h.limit
}

// begin takes conn in. If that is one too many it drops the oldest: it had the
// most time, and a peer that never finishes must not keep others out.
func (h *handshakes) begin(conn net.Conn) {
	h.mu.Lock()
	var oldest net.Conn
	if h.limit > 0 && len(h.running) > 0 && len(h.running)+h.undelivered >= h.limit {
		oldest = h.running[0]
		h.running = slices.Delete(h.running, 0, 1)
	}
	h.running = append(h.running, conn)
	h.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
}

// end notes that conn's handshake is over. It reports false if conn was dropped.
// A session that came of it is to be delivered.
func (h *handshakes) end(conn net.Conn, delivering bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.running, conn)
	if i < 0 {
		return false
	}
	h.running = slices.Delete(h.running, i, i+1)
	if delivering {
		h.undelivered++
	}
	return true
}

// delivered notes that a session was received, or dropped.
func (h *handshakes) delivered() {
	h.mu.Lock()
	h.undelivered--
	h.mu.Unlock()
}

// abort ends all handshakes and waits for their goroutines. Those that deliver
// see the listener's quit themselves.
func (h *handshakes) abort() {
	h.mu.Lock()
	for _, conn := range h.running {
		conn.Close()
	}
	h.running = nil
	h.mu.Unlock()
	h.goroutines.Wait()
}

// shake is the goroutine of a connection that is to speak TLS: it shakes hands
// and delivers the session. admit starts it; it ends with HandshakeTimeout, or
// when the session is received, or with the accepting.
func (l *Listener) shake(ctx context.Context, conn net.Conn, quit <-chan struct{}) {
	defer l.handshakes.goroutines.Done()
	t := newTLSStream(conn, tls.Server, l.set.TLS)
	err := l.shakeHands(t)
	known := l.handshakes.end(conn, err == nil)
	if err != nil || !known {
		conn.Close()
		l.reg.left()
		l.shakeFailed(t, err, known, quit)
		return
	}
	defer func() {
		l.handshakes.delivered()
		l.reg.wake()
	}()
	if s := l.begin(ctx, t); s != nil {
		l.deliver(s, quit)
	}
}

// shakeHands runs the handshake, within HandshakeTimeout. The deadline is the
// connection's, since a context would cost another goroutine.
func (l *Listener) shakeHands(t *tlsStream) error {
	d := l.set.HandshakeTimeout
	if d > 0 {
		t.records.SetDeadline(time.Now().Add(d))
	}
	err := t.handshake(withEvents(context.Background(), l.events))
	if d > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return wrapOp("handshake", t.local.Network(), t.local, t.remote, &timeoutError{"HandshakeTimeout", d})
	}
	t.records.SetDeadline(time.Time{})
	return err
}

// shakeFailed tells of a handshake that failed by itself or was dropped, but
// not of one that ended with the listener.
func (l *Listener) shakeFailed(t *tlsStream, err error, known bool, quit <-chan struct{}) {
	select {
	case <-quit:
		return
	default:
	}
	if !known {
		err = fmt.Errorf("dropped as the oldest of MaxHandshakes = %d", l.set.MaxHandshakes)
		err = wrapOp("handshake", t.local.Network(), t.local, t.remote, err)
	}
	l.events.emit(Event{Kind: EventFailed, Err: err})
}

// eventsKey is the context key of the events of whoever shakes hands.
type eventsKey struct{}

// withEvents lets what crypto/tls calls during a handshake emit events.
func withEvents(ctx context.Context, q *eventQueue) context.Context {
	return context.WithValue(ctx, eventsKey{}, q)
}

// checkServerTLS reports a config without a certificate, with which every
// handshake would fail.
func (set *settings) checkServerTLS() error {
	c := set.TLS
	if c != nil && len(c.Certificates) == 0 && c.GetCertificate == nil && c.GetConfigForClient == nil {
		return errors.New("chanio: option TLS has no certificate, which a server needs")
	}
	return nil
}
