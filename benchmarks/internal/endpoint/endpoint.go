// Package endpoint says where a benchmark server listens and how plain clients
// reach it.
package endpoint

import (
	"crypto/tls"
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
)

// An Endpoint is a transport and an address.
type Endpoint struct {
	Net     string // TCP, TLS, UDP or Unix
	Address string // host:port, or a socket file for Unix

	// KernelBuffer is the size in bytes requested for the kernel's send and
	// receive buffers of every socket. If zero, the system's default.
	KernelBuffer int
	// ServerTLS is the config of the listening side, with TLS.
	ServerTLS *tls.Config
	// ClientTLS is the config of the dialing side, with TLS.
	ClientTLS *tls.Config
}

// New returns the endpoint of a host and port. On Unix sockets, a host with a
// path separator is the socket file; otherwise a file in the temporary directory
// is named after the port.
func New(network, host string, port int) (Endpoint, error) {
	switch network {
	case TCP, TLS, UDP:
		return Endpoint{Net: network, Address: net.JoinHostPort(host, strconv.Itoa(port))}, nil
	case Unix:
		path := host
		if filepath.Base(path) == path {
			path = filepath.Join(os.TempDir(), fmt.Sprintf("chanio-benchmark-%d-%d.sock", os.Getpid(), port))
		}
		return Endpoint{Net: network, Address: path}, nil
	}
	return Endpoint{}, fmt.Errorf("network %q is none of tcp, tls, udp, unix", network)
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
	if e.Net == TLS {
		return "tcp"
	}
	return e.Net
}

// Datagrams reports whether messages keep their boundaries on the wire.
func (e Endpoint) Datagrams() bool { return e.Net == UDP }

// buffered is what TCP, UDP and Unix sockets have in common for SetBuffers.
type buffered interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
}

// SetBuffers gives c, a socket of package net, buffers of KernelBuffer bytes.
func (e Endpoint) SetBuffers(c any) error {
	b, ok := c.(buffered)
	if !ok || e.KernelBuffer == 0 {
		return nil
	}
	if err := b.SetReadBuffer(e.KernelBuffer); err != nil {
		return err
	}
	return b.SetWriteBuffer(e.KernelBuffer)
}
