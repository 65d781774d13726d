// Package bench says what a server and its clients do, and connects them by
// package net.
package bench

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"example.com/chanio"
)

// The names of the transports.
const (
	TCP  = "tcp"
	TLS  = "tls"
	UDP  = "udp"
	Unix = "unix"
	WS   = "ws" // WebSocket
)

// The names of how messages are marked in a stream. Without a name they are not.
const (
	Prefix = "prefix" // 4 bytes of length before each, big-endian
	Lines  = "lines"  // a newline after each
)

// NumberSize is how many bytes of a datagram its number takes, and of a fan-out's
// message its time. Both are big-endian and come first.
const NumberSize = 8

// A Config says what a server and its clients do.
type Config struct {
	Job     string // echo, multicast, fanout, idle, churn or redis
	Net     string // TCP, TLS, UDP, Unix or WS
	Address string // host:port, or a socket file for Unix
	Impl    string // of the server
	Client  string // "plain", or "chanio" for its own

	Clients int
	// Messages are those in flight of each client (echo, redis), or those
	// published a second (multicast, fanout: if zero, as many as possible).
	Messages int
	Size     int    // bytes of a message, without its frame
	Framing  string // of streams: Prefix, Lines or none (echo, idle)
	Batch    bool   // chanio's batches instead of single messages (echo)
	Deflate  bool   // compress WebSocket messages
	Resume   bool   // TLS sessions (churn)
	// Publish makes the latencies those of publishing a message. It lets members
	// of chanio's hub skip messages when they lag, so that publishing never
	// waits for them (multicast).
	Publish bool

	// KernelBuffer is the size in bytes requested for the kernel's send and
	// receive buffers of every UDP socket. If zero, the system's default.
	KernelBuffer int
	Cert, Key    string // the server's PEM files; if empty, a self-signed certificate
	Threads      int    // of each process that run Go code at a time; if zero, one for each CPU
	Pinned       bool   // server and clients share one CPU, with one thread each

	Warmup    time.Duration // before measuring; every byte that comes back is compared then (echo)
	Length    time.Duration // of what is measured
	ServerPID int           // whose usage clients report; if zero, none
}

// Apply gives this process the threads of c.
func (c Config) Apply() error {
	if c.Threads < 0 {
		return fmt.Errorf("%d threads are not positive", c.Threads)
	}
	runtime.GOMAXPROCS(c.Threads) // which zero leaves as it is
	return nil
}

// Multicasts reports whether the server publishes.
func (c Config) Multicasts() bool { return c.Job == "multicast" || c.Job == "fanout" }

// Datagrams reports whether messages keep their boundaries on the wire.
func (c Config) Datagrams() bool { return c.Net == UDP }

// Locate sets the address to a host and port. Without them (an empty host, a
// negative port) they are those of CppServer's program for the same job, on the
// loopback interface. On Unix sockets, a host with a path separator is the socket
// file; otherwise a file in the temporary directory is named after the port.
func (c *Config) Locate(host string, port int) error {
	group := c.Datagrams() && c.Multicasts()
	known := map[string]int{TCP: 1111, TLS: 2222, UDP: 3333, Unix: 1111, WS: 1111}
	usual, ok := known[c.Net]
	if !ok {
		return fmt.Errorf("network %q is none of tcp, tls, udp, unix, ws", c.Net)
	}
	switch {
	case host != "":
	case group:
		host = "239.255.0.1"
	default:
		host = "127.0.0.1"
	}
	switch {
	case port >= 0:
	case group:
		port = 3334
	default:
		port = usual
	}
	c.Address = net.JoinHostPort(host, strconv.Itoa(port))
	if c.Net == Unix {
		c.Address = host
		if filepath.Base(host) == host {
			c.Address = filepath.Join(os.TempDir(), fmt.Sprintf("chanio-benchmark-%d-%d.sock", os.Getpid(), port))
		}
	}
	return nil
}

// LocateFree sets the address to a free port of the loopback interface. The
// system can't choose one for a group, which many sockets join: that is a port
// that nothing uses now.
func (c *Config) LocateFree() error {
	port := 0
	if c.Datagrams() && c.Multicasts() {
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		port = conn.LocalAddr().(*net.UDPAddr).Port
		conn.Close()
	}
	return c.Locate("", port)
}

// Network returns package net's name for the transport.
func (c Config) Network() string {
	if c.Net == TLS || c.Net == WS {
		return TCP
	}
	return c.Net
}

// Options returns the options of chanio's sessions and packet endpoints, without
// TLS.
func (c Config) Options() *chanio.Options {
	o := &chanio.Options{ReadBuffer: c.KernelBuffer, WriteBuffer: c.KernelBuffer, Lag: chanio.LagBlock}
	switch c.Framing {
	case Prefix:
		o.Framing = chanio.LengthPrefix{Size: 4}
	case Lines:
		o.Framing = chanio.Lines{}
	}
	if c.Publish {
		o.Lag = chanio.LagDrop
	}
	return o
}

// Message returns a message of the configured size.
func (c Config) Message() []byte {
	m := make([]byte, c.Size)
	for i := range m {
		m[i] = byte('a' + i%26)
	}
	return m
}
