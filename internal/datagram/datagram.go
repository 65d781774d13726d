// Package datagram moves the datagrams of UDP sockets, in batches where the
// system supports them: on Linux recvmmsg and sendmmsg, with GRO and GSO, which
// pass up to 64 datagrams of one peer through the kernel as one. What the kernel
// or a route refuses is detected at run time and not tried again.
//
// A [Conn] that waits for datagrams holds no buffers.
package datagram

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// The largest payloads of a datagram: what a 16-bit length leaves after the
// headers that it counts.
const (
	MaxPayload4 = 65535 - 20 - 8 // IPv4 counts its own header
	MaxPayload6 = 65535 - 8      // IPv6 does not
)

// MaxPayload returns how many bytes a datagram to addr can hold.
func MaxPayload(addr netip.Addr) int {
	if addr.Is4() || addr.Is4In6() {
		return MaxPayload4
	}
	return MaxPayload6
}

// A Packet is one datagram, received or to be sent.
type Packet struct {
	// Addr is the peer: the sender, or the receiver. A connected socket ignores
	// it when sending.
	Addr netip.AddrPort
	// Local is the address that the peer wrote to, which may be a group's. In a
	// packet to be sent it is the source address, if it is a unicast address;
	// its port is ignored.
	Local netip.AddrPort
	// IfIndex is the interface on which the packet arrived, or 0 if the system
	// does not report it. In a packet to a multicast group or a link-local
	// address it is the outgoing interface; others follow the system's routes.
	IfIndex int
	// Data is the payload. What was received belongs to the receiver, and its
	// capacity is its length.
	Data []byte
}

// Config says how a Conn is made. The zero value is a plain socket.
type Config struct {
	ReuseAddr    bool          // set SO_REUSEADDR before binding
	ReusePort    bool          // set SO_REUSEPORT before binding
	ReadBuffer   int           // SO_RCVBUF if positive
	WriteBuffer  int           // SO_SNDBUF if positive
	WriteTimeout time.Duration // how long a write waits for the kernel; 0 is forever
	OneByOne     bool          // one datagram a system call, as where there are no batches

	// Control, if not nil, is called with the socket before it is bound.
	Control func(network, address string, c syscall.RawConn) error
}

// A Socket is a *net.UDPConn, or a substitute, whose datagrams go one by one.
type Socket interface {
	ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error)
	WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error)
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	LocalAddr() net.Addr
	Close() error
}

// Conn is a UDP socket. One goroutine at a time receives; any number write.
type Conn struct {
	sock      Socket
	raw       syscall.RawConn // nil if sock is not the kernel's
	timeout   time.Duration
	local     netip.AddrPort
	wildcard  bool // bound to all local addresses
	v6        bool // an AF_INET6 socket
	dual      bool // an AF_INET6 socket that carries IPv4 too
	connected bool
	ip4       *ipv4.PacketConn // for its options; nil if the socket does not carry IPv4
	ip6       *ipv6.PacketConn // likewise

	stopped chan struct{} // closed by StopReceiving and Close
	stop    sync.Once     // closes stopped

	engine   engine
	zoner    zoner
	joined   joinedGroups
	hostOnly *hostOnly // nil unless needed; set by SetMulticast
	refused  atomic.Int64
	dropped  atomic.Int64
}

// An engine is a way to make the system calls.
type engine interface {
	// read waits for datagrams. The caller frees the batch.
	read() (*batch, error)
	// write sends datagrams in order, like [Conn.Write].
	write(ps []Packet) (n int, err error)
	// writeNow is like [Conn.WriteNow]; it sends nothing if the engine cannot.
	writeNow(ps []Packet) (n int)
	// close releases what the engine has beside the socket.
	close()
}

// New returns a Conn over sock, which belongs to the Conn from then on, even if
// there is an error. Network is what sock was made with: udp, udp4 or udp6.
func New(sock Socket, network string, cfg Config) (*Conn, error) {
	c := &Conn{sock: sock, timeout: cfg.WriteTimeout, stopped: make(chan struct{})}
	if a, ok := sock.LocalAddr().(*net.UDPAddr); ok {
		c.local = a.AddrPort()
	} else {
		c.local, _ = addrPort(sock.LocalAddr())
	}
	c.v6 = c.local.Addr().Is6()
	c.wildcard = c.local.Addr().IsUnspecified()
	c.dual = c.v6 && network == "udp" && c.wildcard
	c.local = Unmap(c.local)
	c.engine = &oneByOne{conn: c}
	sock.SetReadDeadline(time.Time{}) // what its previous owner has set is over
	sock.SetWriteDeadline(time.Time{})

	udp, ok := sock.(*net.UDPConn)
	if !ok {
		return c, nil
	}
	c.connected = udp.RemoteAddr() != nil
	if !c.v6 || c.dual {
		c.ip4 = ipv4.NewPacketConn(udp)
	}
	if c.v6 {
		c.ip6 = ipv6.NewPacketConn(udp)
	}
	if err := c.setUp(udp, cfg); err != nil {
		udp.Close()
		return nil, err
	}
	return c, nil
}

// setUp sets the socket's options and chooses the engine.
func (c *Conn) setUp(udp *net.UDPConn, cfg Config) (err error) {
	if c.raw, err = udp.SyscallConn(); err != nil {
		return err
	}
	if cfg.ReadBuffer > 0 {
		if err := udp.SetReadBuffer(cfg.ReadBuffer); err != nil {
			return err
		}
	}
	if cfg.WriteBuffer > 0 {
		if err := udp.SetWriteBuffer(cfg.WriteBuffer); err != nil {
			return err
		}
	}
	c.requestPacketInfo()
	ownGroupsOnly(c.raw)
	if cfg.OneByOne {
		return nil
	}
	return c.useBatches()
}

// LocalAddr returns the address that the socket is bound to.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Refused returns how often an ICMP message said that a datagram could not be
// delivered. Most systems say so on connected sockets only.
func (c *Conn) Refused() int64 { return c.refused.Load() }

// KernelDropped returns how many datagrams the kernel had dropped for lack of
// room in the socket's receive buffer by the time it delivered the last one. It
// is 0 if the kernel does not report the count.
func (c *Conn) KernelDropped() int64 { return c.dropped.Load() }

// StopReceiving makes current and future calls of [Conn.Receive] return nil.
// The socket can still send.
func (c *Conn) StopReceiving() {
	c.stop.Do(func() { close(c.stopped) })
	c.sock.SetReadDeadline(time.Unix(1, 0))
}

// Close closes the socket. Blocked calls return an error that is net.ErrClosed.
func (c *Conn) Close() error {
	c.stop.Do(func() { close(c.stopped) })
	err := c.sock.Close()
	c.engine.close()
	if c.hostOnly != nil {
		c.hostOnly.close()
	}
	return err
}

// Unmap returns a with an IPv4-mapped address turned into the IPv4 address.
func Unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// SyscallConn returns the raw socket, or errors.ErrUnsupported if it is not the
// kernel's.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.raw == nil {
		return nil, errors.ErrUnsupported
	}
	return c.raw, nil
}
