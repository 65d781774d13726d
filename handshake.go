package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
)

// A handshaker is a transport that shakes hands before it is a session's:
// tlsStream or givenTLS.
type handshaker interface {
	transport
	handshake(ctx context.Context) error
	handshakeError(err error) error
}

// handshakes are the connections of a listener that are in their TLS handshake,
// or done with it and not yet received from Sessions. Each has a goroutine,
// which abort waits for.
type handshakes struct {
	limit      int // of both together; 0: none
	goroutines sync.WaitGroup

	mu          sync.Mutex
	running     []*handshake // oldest first
	undelivered int
}

// A handshake is ended early by its context, which a config's callbacks see too.
type handshake struct{ cancel context.CancelCauseFunc }

// begin takes another one in. If that is one too many it drops the oldest: it
// had the most time, and a peer that never finishes must not keep others out.
// Where there is none to drop, it reports false: there is no place before a
// session is received.
func (h *handshakes) begin(one *handshake) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limit > 0 && len(h.running)+h.undelivered >= h.limit {
		if len(h.running) == 0 {
			return false
		}
		h.running[0].cancel(fmt.Errorf("dropped as the oldest of MaxHandshakes = %d", h.limit))
		h.running = slices.Delete(h.running, 0, 1)
	}
	h.running = append(h.running, one)
	return true
}

// end notes that a handshake is over. It reports false if it was dropped before
// that. A session that came of it is to be delivered.
func (h *handshakes) end(one *handshake, delivering bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.running, one)
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
	for _, one := range h.running {
		one.cancel(ErrClosed)
	}
	h.running = nil
	h.mu.Unlock()
	h.goroutines.Wait()
}

// handshaker returns what has to shake hands over conn: with Options.TLS, and
// where what is served is a listener of crypto/tls. Else it is nil.
func (l *Listener) handshaker(conn net.Conn) handshaker {
	under, handed := unwrap(conn)
	if l.set.TLS != nil && handed == nil {
		return newTLSStream(conn, tls.Server, l.set.TLS)
	}
	if isTLS(under) {
		return newGivenTLS(conn)
	}
	return nil
}

// startHandshake starts t's goroutine, as soon as there is a place for it. ctx
// is the listener's.
func (l *Listener) startHandshake(ctx context.Context, t handshaker, quit <-chan struct{}) {
	// The end of ctx is quit's to tell, or it would look like a failure.
	shakeCtx, cancel := context.WithCancelCause(withEvents(context.WithoutCancel(ctx), l.events))
	one := &handshake{cancel}
	for !l.handshakes.begin(one) {
		select {
		case <-l.reg.change:
		case <-quit:
			cancel(nil)
			t.shut(true)
			l.reg.left()
			return
		}
	}
	l.handshakes.goroutines.Go(func() {
		defer cancel(nil)
		if l.shake(shakeCtx, one, t, quit) {
			l.deliverShaken(ctx, t, quit)
		}
	})
}

// shake runs the handshake, within HandshakeTimeout. It reports whether t is to
// be a session; else t is shut.
func (l *Listener) shake(ctx context.Context, one *handshake, t handshaker, quit <-chan struct{}) bool {
	if d := l.set.HandshakeTimeout; d > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, d, &timeoutError{"HandshakeTimeout", d})
		defer stop()
	}
	err := t.handshake(ctx)
	dropped := !l.handshakes.end(one, err == nil) || err != nil && ctx.Err() != nil
	if dropped {
		err = t.handshakeError(context.Cause(ctx))
	}
	if err == nil {
		return true
	}
	// A client may be done with the handshake before we are, and send: it must
	// not take a connection that was dropped for one that ended in order. One
	// that failed ends so, behind the alert that says why.
	t.shut(dropped)
	l.reg.left()
	select {
	case <-quit: // it ended with the listener
	default:
		l.events.emit(Event{Kind: EventFailed, Err: err})
	}
	return false
}

// deliverShaken makes t a session and delivers it.
func (l *Listener) deliverShaken(ctx context.Context, t transport, quit <-chan struct{}) {
	defer func() {
		l.handshakes.delivered()
		l.reg.wake()
	}()
	if s := l.begin(ctx, t); s != nil {
		l.deliver(s, quit)
	}
}

// eventsKey is the context key of the events of whoever shakes hands.
type eventsKey struct{}

// withEvents lets what crypto/tls calls during a handshake emit events.
func withEvents(ctx context.Context, q *eventQueue) context.Context {
	return context.WithValue(ctx, eventsKey{}, q)
}

// eventsFrom returns what withEvents put into ctx, or nil.
func eventsFrom(ctx context.Context) *eventQueue {
	q, _ := ctx.Value(eventsKey{}).(*eventQueue)
	return q
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

// ownTLS returns the library's copy of a user's config: TLS 1.2 is the floor,
// whatever Go's default, and records have their full size at once, because
// recordConn gathers them into one write. crypto/tls starts with small ones,
// for browsers.
func ownTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.DynamicRecordSizingDisabled = true
	if choose := c.GetConfigForClient; choose != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen == nil || err != nil {
				return nil, err
			}
			return ownTLS(chosen), nil
		}
	}
	return c
}
