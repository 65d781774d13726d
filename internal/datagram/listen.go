package datagram

import (
	"context"
	"errors"
	"net"
	"syscall"

	"example.com/chanio/internal/sockopt"
)

// Listen returns a Conn bound to address. Network is udp, udp4 or udp6.
func Listen(ctx context.Context, network, address string, cfg Config) (*Conn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = cfg.share(fd) }), err)
	}}
	pc, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return New(pc.(*net.UDPConn), network, cfg)
}

// share sets the options that let others have the socket's address too.
func (cfg *Config) share(fd uintptr) error {
	if cfg.ReuseAddr {
		if err := sockopt.ReuseAddr(fd); err != nil {
			return err
		}
	}
	if cfg.ReusePort {
		return sockopt.ReusePort(fd)
	}
	return nil
}
