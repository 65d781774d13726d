// Package endpoint says where a benchmark server listens and how plain clients
// reach it.
package endpoint

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// The names of the transports.
const (
	TCP  = "tcp"
	TLS  = "tls"
	UDP  = "udp"
	Unix = "unix"
	WS   = "ws" // WebSocket
)

// An Endpoint is a transport and an address.
type Endpoint struct {
	Net     string // TCP, TLS, UDP, Unix or WS
	Address string // host:port, or a socket file for Unix

	// KernelBuffer is the size in bytes requested for the kernel's send and
	// receive buffers of every UDP socket. If zero, the system's default.
	KernelBuffer int
	Deflate      bool // compress WebSocket messages
	// ServerTLS is the config of the listening side, with TLS.
	ServerTLS *tls.Config
	// ClientTLS is the config of the dialing side, with TLS.
	ClientTLS *tls.Config
}

// Locate sets the endpoint's address to a host and port. On Unix sockets, a host
// with a path separator is the socket file; otherwise a file in the temporary
// directory is named after the port.
func (e *Endpoint) Locate(host string, port int) error {
	switch e.Net {
	case TCP, TLS, UDP, WS:
		e.Address = net.JoinHostPort(host, strconv.Itoa(port))
	case Unix:
		e.Address = host
		if filepath.Base(host) == host {
			e.Address = filepath.Join(os.TempDir(), fmt.Sprintf("chanio-benchmark-%d-%d.sock", os.Getpid(), port))
		}
	default:
		return fmt.Errorf("network %q is none of tcp, tls, udp, unix, ws", e.Net)
	}
	return nil
}

// DefaultPort is the port of CppServer's program for the same job.
func DefaultPort(network string, multicast bool) int {
	switch {
	case network == UDP && multicast:
		return 3334
	case network == UDP:
		return 3333
	case network == TLS:
		return 2222
	}
	return 1111
}

// DefaultAddress is the address of CppServer's program for the same job, on the
// loopback interface.
func DefaultAddress(network string, multicast bool) string {
	if network == UDP && multicast {
		return "239.255.0.1"
	}
	return "127.0.0.1"
}

// Network returns package net's name for the transport.
func (e Endpoint) Network() string {
	if e.Net == TLS || e.Net == WS {
		return "tcp"
	}
	return e.Net
}

// Datagrams reports whether messages keep their boundaries on the wire.
func (e Endpoint) Datagrams() bool { return e.Net == UDP }

// setBuffers gives c buffers of KernelBuffer bytes.
func (e Endpoint) setBuffers(c *net.UDPConn) error {
	if e.KernelBuffer == 0 {
		return nil
	}
	return errors.Join(c.SetReadBuffer(e.KernelBuffer), c.SetWriteBuffer(e.KernelBuffer))
}
