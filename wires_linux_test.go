package chanio_test

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A wireSession is a session over a socket, and the other end.
type wireSession struct {
	*chanio.Session
	peer net.Conn // what the session talks to, over TLS if it has that
	wire net.Conn // the socket of the peer
	end  context.CancelFunc
}

// wireKinds are the transports over connected sockets.
var wireKinds = []string{"tcp", "unix", "unixpacket", "tls", "tls over unix", "a *tls.Conn"}

// overWire returns a session of that kind, which ends with the test.
func overWire(t *testing.T, kind string, o chanio.Options) *wireSession {
	t.Helper()
	network := "tcp"
	switch kind {
	case "unix", "unixpacket":
		network = kind
	case "tls over unix":
		network = "unix"
	}
	conn, wire := socketPair(t, network)
	require.NoError(t, wire.SetDeadline(time.Now().Add(patience)))
	server, client := testTLS(t)
	client.ServerName = "localhost"
	ctx, end := context.WithCancel(t.Context())
	w := &wireSession{peer: wire, wire: wire, end: end}
	switch kind {
	case "tls", "tls over unix":
		o.TLS = server
		ln := newMemListener()
		l := chanio.Serve(ctx, ln, &o)
		t.Cleanup(func() { l.Close() })
		ln.replace <- func(net.Conn) net.Conn { return conn }
		ln.dial()
		w.peer = tls.Client(wire, client)
		require.NoError(t, w.peer.(*tls.Conn).Handshake())
		w.Session, _ = await(t, l.Sessions(), "a session")
	case "a *tls.Conn":
		w.Session = chanio.NewSession(ctx, tls.Server(conn, server), &o)
		w.peer = tls.Client(wire, client)
		require.NoError(t, w.peer.(*tls.Conn).Handshake())
	default:
		w.Session = chanio.NewSession(ctx, conn, &o)
	}
	t.Cleanup(func() {
		end()
		awaitDone(t, w)
		wire.Close()
	})
	return w
}
