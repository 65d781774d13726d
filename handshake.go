package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// A handshaker is a transport that performs a handshake before a session uses
// it: tlsStream or givenTLS.
type handshaker interface {
	transport
	handshake(ctx context.Context) error
	handshakeError(err error) error
}

// handshaker returns the transport that performs a handshake over conn, with
// Options.TLS or over a crypto/tls listener. Otherwise it returns nil.
func (l *Listener) handshaker(conn net.Conn) handshaker {
	under, handed := unwrap(conn)
	if l.set.TLS != nil && handed == nil {
		return newTLSStream(conn, tls.Server, serverTLS(l.set.TLS))
	}
	if isTLS(under) {
		return newGivenTLS(conn)
	}
	return nil
}

// eventsKey is the context key of the event queue for a handshake.
type eventsKey struct{}

// withEvents lets callbacks of crypto/tls emit events during a handshake.
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
