package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
)

// Listen binds a stream endpoint with package net. With TLS, as in crypto/tls,
// the handshake runs in a connection's first Read or Write.
func (e Endpoint) Listen(ctx context.Context) (net.Listener, error) {
	if e.Net == Unix {
		if err := os.Remove(e.Address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, e.Network(), e.Address)
	if err != nil {
		return nil, err
	}
	if e.Net == TLS {
		ln = tls.NewListener(ln, e.ServerTLS)
	}
	return ln, nil
}

// ListenPacket binds a UDP endpoint with package net.
func (e Endpoint) ListenPacket(ctx context.Context) (*net.UDPConn, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, e.Network(), e.Address)
	if err != nil {
		return nil, err
	}
	u := c.(*net.UDPConn) // package net returns this type for "udp"
	if err := e.setBuffers(u); err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}
