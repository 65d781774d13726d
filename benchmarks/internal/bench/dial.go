package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
)

// portsAnAddress is how many connections are dialed from one loopback address:
// fewer than Linux's default number of ephemeral ports (28,232).
const portsAnAddress = 20_000

const dialTimeout = 10 * time.Second

// Dial connects the i-th client, including the handshake of TLS, by config, and
// of WebSocket. If the server is on IPv4 loopback, clients past the ephemeral
// ports of one source address use the next one.
func (c Config) Dial(ctx context.Context, i int, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	d := net.Dialer{LocalAddr: c.source(i / portsAnAddress)}
	conn, err := d.DialContext(ctx, c.Network(), c.Address)
	if err != nil {
		return nil, err
	}
	switch c.Net {
	case UDP:
		return c.setBuffers(conn.(*net.UDPConn), nil)
	case TLS:
		t := tls.Client(conn, config)
		conn, err = t, t.HandshakeContext(ctx)
	case WS:
		conn, err = c.upgrade(conn)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// source returns the n-th local address to dial from, or nil for the system's
// choice.
func (c Config) source(n int) net.Addr {
	if n == 0 || c.Network() != TCP {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Address)
	if ip := net.ParseIP(host).To4(); err != nil || ip == nil || !ip.IsLoopback() {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}
}

// upgrade makes conn a WebSocket, whose client then writes and reads frames.
func (c Config) upgrade(conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return conn, err
	}
	var d ws.Dialer
	if c.Deflate {
		d.Extensions = []httphead.Option{wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}.Option()}
	}
	early, handshake, err := d.Upgrade(conn, &url.URL{Scheme: "ws", Host: c.Address, Path: "/"})
	if err == nil && c.Deflate != (len(handshake.Extensions) > 0) {
		err = errors.New("the server does not agree on whether to compress")
	}
	if err = errors.Join(err, conn.SetDeadline(time.Time{})); err != nil || early == nil {
		return conn, err
	}
	return earlyConn{conn, early}, nil
}

// An earlyConn reads what arrived together with the handshake's answer, and then
// on.
type earlyConn struct {
	net.Conn
	early io.Reader
}

func (c earlyConn) Read(b []byte) (int, error) { return c.early.Read(b) }
