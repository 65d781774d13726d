package datagram

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"example.com/chanio/internal/sockopt"
)

// Listen returns a Conn bound to address. Network is udp, udp4 or udp6. A
// group's address is an error: package net would bind the wildcard address
// instead.
func Listen(ctx context.Context, network, address string, cfg Config) (*Conn, error) {
	host, _, _ := net.SplitHostPort(address) // bind reports what is wrong
	if addr, err := netip.ParseAddr(host); err == nil && addr.Unmap().IsMulticast() {
		return nil, fmt.Errorf("%s: a multicast group, which ListenMulticast is for", address)
	}
	return bind(ctx, network, address, cfg)
}

// bind is Listen with package net's treatment of a group's address.
func bind(ctx context.Context, network, address string, cfg Config) (*Conn, error) {
	lc := net.ListenConfig{Control: func(network, address string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = cfg.share(fd) })
		if err = errors.Join(err, failed); err != nil || cfg.Control == nil {
			return err
		}
		return cfg.Control(network, address, raw)
	}}
	pc, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return New(pc.(*net.UDPConn), network, cfg)
}

// share sets the options that let other sockets share the address.
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
