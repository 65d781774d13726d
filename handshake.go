package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// A handshaker is a transport that shakes hands before it is a session's:
// tlsStream or givenTLS.
type handshaker interface {
	transport
	handshake(ctx context.Context) error
	handshakeError(err error) error
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
