package endpoint

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// portsAnAddress is how many connections are dialed from one loopback address:
// fewer than Linux's default number of ephemeral ports (28,232).
const portsAnAddress = 20_000

const dialTimeout = 10 * time.Second

// Dial connects the i-th client, including the handshake with TLS and WebSocket. If the server
// is on IPv4 loopback, clients past the ephemeral ports of one source address
// use the next one.
func (e Endpoint) Dial(ctx context.Context, i int) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()

	d := net.Dialer{LocalAddr: e.source(i / portsAnAddress)}
	c, err := d.DialContext(ctx, e.Network(), e.Address)
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UDPConn); ok {
		err = e.setBuffers(u)
	}
	switch e.Net {
	case TLS:
		t := tls.Client(c, e.ClientTLS)
		c, err = t, t.HandshakeContext(ctx)
	case WS:
		c, err = e.upgrade(c)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// source returns the n-th local address to dial from, or nil for the system's
// choice.
func (e Endpoint) source(n int) net.Addr {
	if n == 0 || e.Network() != "tcp" {
		return nil
	}
	host, _, err := net.SplitHostPort(e.Address)
	if err != nil {
		return nil
	}
	ip := net.ParseIP(host).To4()
	if ip == nil || !ip.IsLoopback() {
		return nil
	}
	return &net.TCPAddr{IP: net.IPv4(127, 1, byte(n>>8), byte(n))}
}
