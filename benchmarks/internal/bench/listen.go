package bench

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
)

// Listen binds a stream endpoint with package net. With TLS, as in crypto/tls,
// the handshake runs in a connection's first Read or Write.
func (c Config) Listen() (net.Listener, error) {
	if c.Net == Unix {
		if err := os.Remove(c.Address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	config, err := c.ServerTLS()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen(c.Network(), c.Address)
	if err == nil && config != nil {
		ln = tls.NewListener(ln, config)
	}
	return ln, err
}

// ListenPacket binds a UDP endpoint with package net.
func (c Config) ListenPacket() (*net.UDPConn, error) {
	at, err := net.ResolveUDPAddr(c.Network(), c.Address)
	if err != nil {
		return nil, err
	}
	return c.setBuffers(net.ListenUDP(c.Network(), at))
}
