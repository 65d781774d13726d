package chanio

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
)

// NetListener returns the listener as a [net.Listener], for servers written for
// one, such as those of net/http, gRPC and SSH. Accept returns the
// [Session.NetConn] of a session that would otherwise be received from
// Sessions. It requires raw streams: under Options.Framing, on udp and on
// unixpacket it is errors.ErrUnsupported.
//
// As with any net.Listener, Close stops accepting and drops what Accept has not
// returned. Accepted connections continue, and the listener is Done after the
// last of them. To replace a process without dropping anything, first call
// [Listener.Drain], and let the server run until Accept says that the listener
// is closed.
//
// With Options.TLS the connections have ConnectionState, which sets Request.TLS
// in net/http. net/http speaks HTTP/1 over them, since it requires a *tls.Conn
// for HTTP/2. For HTTP/2 leave Options.TLS nil and call the server's ServeTLS;
// HandshakeTimeout and MaxHandshakes then do not apply.
func (l *Listener) NetListener() net.Listener {
	return &netListener{l: l, closed: make(chan struct{})}
}

type netListener struct {
	l      *Listener
	once   sync.Once
	closed chan struct{} // closed by Close
}

var _ net.Listener = (*netListener)(nil)

func (n *netListener) Addr() net.Addr { return n.l.addr }

func (n *netListener) Accept() (net.Conn, error) {
	network := n.l.addr.Network() // unknown if Serve was given a listener of another kind
	if kind := kindOf(network); n.l.set.codec != nil || kind == packetNetwork || kind == datagramNetwork {
		return nil, wrapOp("accept", network, nil, n.l.addr, errors.ErrUnsupported)
	}
	select {
	case <-n.closed:
		return nil, n.l.closedError("accept")
	default:
	}
	select {
	case s, ok := <-n.l.sessions:
		if ok {
			return s.NetConn(), nil
		}
	case <-n.closed:
	}
	if err := n.l.Err(); err != nil {
		return nil, wrapOp("accept", n.l.addr.Network(), nil, n.l.addr, stoppedError{err})
	}
	return nil, n.l.closedError("accept")
}

// stoppedError says what ended the listener. That may be a timeout, as of its
// context, or some other error that calls itself temporary, which would make
// servers accept again and again.
type stoppedError struct{ cause error }

func (e stoppedError) Error() string        { return "the listener has ended: " + e.cause.Error() }
func (e stoppedError) Unwrap() error        { return e.cause }
func (e stoppedError) Is(target error) bool { return target == ErrClosed || target == net.ErrClosed }

func (n *netListener) Close() error {
	n.once.Do(func() { close(n.closed) })
	n.l.stop(nil)
	return nil
}

// tlsNetConn is a netConn over TLS.
type tlsNetConn struct{ *netConn }

// ConnectionState returns the state of the session's TLS, as a *tls.Conn's does.
func (c tlsNetConn) ConnectionState() tls.ConnectionState {
	state, _ := c.s.TLS()
	return state
}
