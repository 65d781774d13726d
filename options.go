package chanio

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// Options configures whatever takes it; nil means the defaults everywhere.
//
// Like a [tls.Config] it is not modified after a call has taken it, and one
// value may serve any number of calls; the caller must not modify it either.
//
// The zero value of each field means its default. In durations, counts and
// queue sizes a negative value means none: no timeout, no bound, no queue. A
// value that cannot be right is an error that names the field; functions
// without an error result return an object that has ended, with that Err.
type Options struct {
	// TLS turns a listener's or client's streams into TLS. [Listen] and [Serve]
	// need a config with a certificate; [Dial] and [Connect] fill in ServerName
	// from the address if it is empty, also under InsecureSkipVerify. If nil,
	// there is no TLS. TLS 1.2 is the floor, whatever MinVersion says. Each
	// handshake uses a copy of the config, with the session ticket keys that it
	// has by then. [NewSession] ignores it: hand it a *tls.Conn. It is an error
	// on udp networks.
	//
	// TLS that the user has set up, of a *tls.Conn for NewSession or of a
	// tls.Listener for Serve, is as its own config says: the floor is crypto/tls's.
	TLS *tls.Config
	// HandshakeTimeout bounds all that a connection of a listener must send before
	// it is a session: its PROXY header, its TLS handshake, and what a net.Conn that [Serve] was
	// given waits for before it knows its addresses. A dialing side's handshake
	// counts into DialTimeout. If zero, 10 seconds.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the connections of a listener that are in their
	// handshake or not yet received from Sessions. Full of handshakes, one is
	// evicted for each new one: first one of those that have sent nothing, of the
	// address that has the most of them, at random. Full of undelivered sessions,
	// accepting pauses (on udp, new peers are dropped and counted). If zero, 1,024.
	MaxHandshakes int

	// ProxyProtocol makes a stream listener require a PROXY header (version 1 or
	// 2) of each connection, before anything else, TLS included: a proxy says in it
	// whose connection it passes on. RemoteAddr and LocalAddr of the session are
	// then the client's and the one that it connected to; where the proxy says
	// nothing of a client (LOCAL, UNKNOWN) they are the connection's own. The header
	// must come within HandshakeTimeout. One that is missing, or cannot be right, is
	// an [EventFailed], and the connection is reset. It is an error on udp networks.
	ProxyProtocol bool
	// ProxyFrom has the addresses that may connect to a listener with ProxyProtocol:
	// those of the proxies. Others are reset, and an [EventFailed]. If empty,
	// everybody who can connect can claim any address. The peers of unix sockets
	// have no address: the file's permissions say who they are.
	ProxyFrom []netip.Prefix

	// Framing cuts streams into messages. If nil, a stream is raw: a message
	// received is what one read returned. Datagrams are messages by nature:
	// it is an error on udp networks.
	Framing Framing
	// MaxMessage bounds the payload in bytes of a message that a peer sends
	// under Framing; exactly the limit is allowed, past it the session ends
	// with [ErrMessageTooLarge]. If zero, 1 MiB; it can't be negative.
	MaxMessage int
	// MessageTimeout bounds the time from a message's first byte to its last,
	// under Framing, and of a TLS record, whether there is a Framing or not. If
	// zero, 30 seconds. On a *tls.Conn of the user's own (see NewSession, Serve)
	// records are not seen.
	MessageTimeout time.Duration

	// RecvQueue is how many messages Recv buffers. If zero, 8 on raw streams,
	// where one is as much as a read returned, 32 under Framing and 128 on udp.
	// The sessions of a udp listener buffer one at least. RecvBatch buffers one
	// batch, or none if this is negative.
	RecvQueue int
	// SendQueue is how many messages Send buffers. If zero, as for RecvQueue.
	// SendBatch buffers one batch, or none if this is negative.
	SendQueue int
	// EventQueue is how many events Events buffers before the oldest go. If
	// zero, 64. With none, an event is lost unless somebody is receiving.
	EventQueue int
	// PostQueue is how many posted functions a [Service] holds before Post
	// returns [ErrFull]. If zero, 65,536; it can't be negative.
	PostQueue int

	// IdleTimeout ends a session that has received nothing for that long. Time
	// in which what came was not received from Recv does not count. If
	// zero, none on streams and 2 minutes for the sessions of a udp listener.
	IdleTimeout time.Duration
	// WriteTimeout ends a session whose peer has taken nothing for that long
	// while there was something to take. Any progress starts it anew. Progress
	// is what the peer acknowledges, looked at 8 times a timeout, where the
	// system tells (Linux): a peer that vanished is found although the kernel
	// still buffers. Elsewhere it is what the kernel takes, and over a net.Conn
	// that is no socket it shows only when 64 KiB of a long message are taken.
	// If zero, 10 seconds.
	WriteTimeout time.Duration
	// CloseTimeout bounds Close, and how long a session whose output has failed
	// goes on reading without progress. If zero, 5 seconds.
	CloseTimeout time.Duration
	// HalfCloseTimeout is how long a session stays writable after its peer's end
	// of stream without write progress and without a message accepted; then it
	// ends with that timeout as its Err. If zero, 1 minute.
	HalfCloseTimeout time.Duration
	// PingInterval sends a session's peer a ping when nothing was received from
	// it for that long, under Framing: a connection that proxies would cut for
	// being idle stays open. Time in which nobody receives does not count. If
	// zero, none is sent.
	PingInterval time.Duration
	// PingTimeout is how long after a ping something must be received, or the
	// session ends with an error that is os.ErrDeadlineExceeded. If zero,
	// PingInterval; if negative, a ping only keeps the connection open.
	PingTimeout time.Duration
	// Ping is the message that a ping is; what the peer answers is received as
	// any message. A [SessionFraming] has pings of its own, and Ping is an error.
	Ping []byte
	// DialTimeout bounds [Dial] and each try of [Connect], handshake included.
	// If zero, 10 seconds.
	DialTimeout time.Duration

	// KeepAlive configures TCP keep-alive probes. If nil, Go's default: on,
	// after 15 seconds. [NewSession] and [Serve] leave connections as they are
	// if it is nil.
	KeepAlive *net.KeepAliveConfig
	// Nagle turns Nagle's algorithm on (TCP_NODELAY off) for TCP sessions. If
	// false, small writes leave at once.
	Nagle bool
	// ReuseAddr sets SO_REUSEADDR on sockets that [Listen] and [ListenPacket]
	// bind. TCP and Unix listeners follow Go's own choice if it is false.
	ReuseAddr bool
	// ReusePort sets SO_REUSEPORT on sockets that [Listen] and [ListenPacket]
	// bind; where a system has none, binding is errors.ErrUnsupported.
	ReusePort bool
	// Control is called with each socket that [Listen] makes, before it is bound,
	// after the library has set its own options: see [net.ListenConfig]. Sockets
	// that are dialed have Dialer.Control. An error fails the call.
	Control func(network, address string, c syscall.RawConn) error
	// SocketMode is the permissions of the file of a unix listener that [Listen]
	// makes. If zero, the umask decides. On Linux the file never has more than
	// these; elsewhere it has what the umask leaves for a moment, so put it into a
	// directory that others cannot enter. On Windows it is errors.ErrUnsupported.
	SocketMode fs.FileMode
	// KeepSocket leaves the file of a unix listener in place when the listener
	// ends, for a process that takes the socket over. If false, it is removed,
	// unless it is another listener's by then: such a file is never removed.
	KeepSocket bool
	// ReadBuffer is the kernel's receive buffer of a socket in bytes
	// (SO_RCVBUF). If zero, the system's choice; it can't be negative.
	ReadBuffer int
	// WriteBuffer is the kernel's send buffer of a socket in bytes (SO_SNDBUF).
	// If zero, the system's choice; it can't be negative.
	WriteBuffer int

	// MaxSessions bounds the live sessions of a listener. A stream listener
	// pauses accepting at the bound (handshakes count); a udp listener ends
	// the least deserving session with [ErrTooManySessions]. If zero, none on
	// streams and 65,536 on udp.
	MaxSessions int
	// MaxSessionsPerAddr bounds the live sessions of a stream listener that come
	// from one IP address (handshakes count, and so does an IPv6 network of 64
	// bits as one address). Past it a connection is reset, and is an [EventFailed]
	// with [ErrTooManySessions]. With ProxyProtocol the address is the client's.
	// If zero, none. It is an error on udp networks, where addresses are claims.
	MaxSessionsPerAddr int
	// ManualJoin keeps a listener's sessions out of its hub until Hub().Join.
	ManualJoin bool

	// Lag says what a [Hub] does to a member that fell behind. If zero,
	// [LagDisconnect].
	Lag LagPolicy
	// MaxLag is how many bytes a hub's member may fall behind; it is also the
	// hub's memory, since its members share one log (with [LagBlock], twice as
	// much at most). If zero, 16 MiB; it can't be negative.
	MaxLag int

	// Backoff paces the tries of [Connect].
	Backoff Backoff
	// Dialer is what [Dial] and [Connect] dial with; its Timeout and Deadline
	// bound the dialing as DialTimeout does. If nil, a zero net.Dialer.
	Dialer *net.Dialer
	// DialContext is what [Dial] and [Connect] make stream connections with in
	// place of Dialer, through a proxy or tunnel for example. TLS is spoken over
	// what it returns, unless that is a [Handover]. It must return soon after its
	// context has ended. A connection that keeps messages apart (udp, unixgram,
	// unixpacket) is no stream: that is an error. If nil, Dialer is used.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Multicast configures IP multicast on datagram endpoints.
	Multicast Multicast

	// Logger receives every event as a record: failures and lag as warnings,
	// the rest for debugging. If nil, the library is silent.
	Logger *slog.Logger
}

// Backoff is the pause before a [Client] dials again. It starts at Min, grows
// by Factor with each try up to Max, and starts anew after a connection that
// held for longer than the pause before it.
type Backoff struct {
	// Min is the first pause. If zero, 100 milliseconds. If negative, there is
	// none before the second try, and 100 milliseconds before the third.
	Min time.Duration
	// Max is the longest pause. If zero, 30 seconds, or Min if that is longer.
	Max time.Duration
	// Factor is what a pause is multiplied by for the next. If zero, 2; it
	// can't be below 1.
	Factor float64
	// Jitter is how much of a pause is random: the pause is drawn from
	// [d*(1-Jitter), d]. If zero, 0.2; if negative, none; it can't be above 1.
	Jitter float64
}

// Multicast configures how datagram endpoints send to and join multicast
// groups, for IPv4 and IPv6 alike.
type Multicast struct {
	// Interface is where groups are joined and multicast leaves. If nil, the
	// system's choice.
	Interface *net.Interface
	// TTL is how many routers a multicast datagram may pass (hop limit on
	// IPv6). If zero, 1: it stays on the link. If negative, 0: it stays on the
	// host.
	TTL int
	// NoLoopback keeps what is sent from the host's own members.
	NoLoopback bool
	// Source, if valid, is the only sender whose datagrams [ListenMulticast]
	// receives (a source-specific join).
	Source netip.Addr
}

// LagPolicy says what a [Hub] does to a member that is more than
// [Options].MaxLag bytes behind.
type LagPolicy int8

const (
	// LagDisconnect ends the member's session with [ErrLagged].
	LagDisconnect LagPolicy = iota
	// LagDrop lets the member skip to the newest whole message and reports
	// [EventLagged] with the count of the messages skipped.
	LagDrop
	// LagBlock makes publishers wait for the member, for at most
	// [Options].WriteTimeout without its progress; then its session ends with
	// [ErrLagged]. For sessions that have left, or are closing, and have yet to
	// write what was published before, they only wait where those hold more than
	// MaxLag bytes of the hub's log together.
	LagBlock
)

// String returns the policy's name.
func (p LagPolicy) String() string {
	switch p {
	case LagDisconnect:
		return "LagDisconnect"
	case LagDrop:
		return "LagDrop"
	case LagBlock:
		return "LagBlock"
	}
	return fmt.Sprintf("LagPolicy(%d)", int(p))
}

const (
	defaultHandshakeTimeout = 10 * time.Second
	defaultMaxHandshakes    = 1024
	defaultMaxMessage       = 1 << 20
	defaultMessageTimeout   = 30 * time.Second
	defaultQueue            = 8
	defaultEventQueue       = 64
	defaultPostQueue        = 65536
	defaultUDPIdleTimeout   = 2 * time.Minute
	defaultWriteTimeout     = 10 * time.Second
	defaultCloseTimeout     = 5 * time.Second
	defaultHalfCloseTimeout = time.Minute
	defaultDialTimeout      = 10 * time.Second
	defaultUDPMaxSessions   = 65536
	defaultFramedQueue      = 32
	defaultMessageQueue     = 128
	defaultMaxLag           = 16 << 20
	defaultBackoffMin       = 100 * time.Millisecond
	defaultBackoffMax       = 30 * time.Second
	defaultBackoffFactor    = 2
	defaultBackoffJitter    = 0.2
)

// maxQueue is the longest queue: make panics on a channel that memory can't hold.
const maxQueue = 1 << 24

// settings are Options with every default resolved: here a zero duration,
// bound or queue means none.
type settings struct {
	Options
	codec codec                    // of Framing; nil for raw streams
	other atomic.Pointer[settings] // the last that framedBy has made of these
}

// resolve returns o with its defaults filled in. udp says that they are for
// datagrams: the sessions of a udp listener are peers' addresses and have bounds
// where streams have none, and what arrives in a burst has to be held somewhere.
func (o *Options) resolve(udp bool) (*settings, error) {
	if o == nil {
		o = new(Options)
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &settings{Options: *o, codec: codecOf(o.Framing)}

	idle, sessions, queue := time.Duration(0), 0, defaultQueue
	if udp {
		idle, sessions = defaultUDPIdleTimeout, defaultUDPMaxSessions
	}
	switch {
	case udp:
		queue = defaultMessageQueue
	case o.Framing != nil:
		queue = defaultFramedQueue
	}
	s.HandshakeTimeout = orDefault(o.HandshakeTimeout, defaultHandshakeTimeout)
	s.MaxHandshakes = orDefault(o.MaxHandshakes, defaultMaxHandshakes)
	s.MaxMessage = orDefault(o.MaxMessage, defaultMaxMessage)
	s.MessageTimeout = orDefault(o.MessageTimeout, defaultMessageTimeout)
	s.RecvQueue = orDefault(o.RecvQueue, queue)
	s.SendQueue = orDefault(o.SendQueue, queue)
	s.EventQueue = orDefault(o.EventQueue, defaultEventQueue)
	s.PostQueue = orDefault(o.PostQueue, defaultPostQueue)
	s.IdleTimeout = orDefault(o.IdleTimeout, idle)
	s.WriteTimeout = orDefault(o.WriteTimeout, defaultWriteTimeout)
	s.CloseTimeout = orDefault(o.CloseTimeout, defaultCloseTimeout)
	s.HalfCloseTimeout = orDefault(o.HalfCloseTimeout, defaultHalfCloseTimeout)
	s.PingInterval = max(o.PingInterval, 0)
	s.PingTimeout = orDefault(o.PingTimeout, s.PingInterval)
	s.DialTimeout = orDefault(o.DialTimeout, defaultDialTimeout)
	s.MaxSessions = orDefault(o.MaxSessions, sessions)
	s.MaxSessionsPerAddr = orDefault(o.MaxSessionsPerAddr, 0)
	s.MaxLag = orDefault(o.MaxLag, defaultMaxLag)
	s.Backoff.Min = orDefault(o.Backoff.Min, defaultBackoffMin)
	s.Backoff.Max = max(orDefault(o.Backoff.Max, defaultBackoffMax), s.Backoff.Min)
	s.Backoff.Factor = orDefault(o.Backoff.Factor, defaultBackoffFactor)
	s.Backoff.Jitter = orDefault(o.Backoff.Jitter, defaultBackoffJitter)
	return s, nil
}

// orDefault resolves one value: zero is the default, negative is none.
func orDefault[T int | float64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}

// check reports the first field whose value cannot be right.
func (o *Options) check() error {
	b := o.Backoff
	const tooLong = "can't be above 1<<24: a channel of that size is allocated"
	for _, f := range []struct {
		name  string
		value any
		bad   bool
		why   string
	}{
		{"MaxMessage", o.MaxMessage, o.MaxMessage < 0, "can't be negative: a peer would decide how much memory it takes"},
		{"RecvQueue", o.RecvQueue, o.RecvQueue > maxQueue, tooLong},
		{"SendQueue", o.SendQueue, o.SendQueue > maxQueue, tooLong},
		{"EventQueue", o.EventQueue, o.EventQueue > maxQueue, tooLong},
		{"PostQueue", o.PostQueue, o.PostQueue < 0, "can't be negative: nothing could be posted"},
		{"ReadBuffer", o.ReadBuffer, o.ReadBuffer < 0, "can't be negative"},
		{"WriteBuffer", o.WriteBuffer, o.WriteBuffer < 0, "can't be negative"},
		{"SocketMode", o.SocketMode, o.SocketMode&^fs.ModePerm != 0, "has more than permissions"},
		{"ProxyFrom", o.ProxyFrom, len(o.ProxyFrom) > 0 && !o.ProxyProtocol, "needs ProxyProtocol"},
		{"MaxLag", o.MaxLag, o.MaxLag < 0, "can't be negative: a slow member would decide how much memory it takes"},
		{"Lag", o.Lag, o.Lag < LagDisconnect || o.Lag > LagBlock, "is no policy"},
		{"Backoff.Max", b.Max, b.Max < 0, "can't be negative"},
		{"Backoff.Max", b.Max, b.Max > 0 && b.Max < b.Min, "can't be below Backoff.Min"},
		{"Backoff.Factor", b.Factor, b.Factor != 0 && !(b.Factor >= 1) || math.IsInf(b.Factor, 1), "must be a finite number of at least 1"},
		{"Backoff.Jitter", b.Jitter, !(b.Jitter <= 1), "can't be above 1"},
		{"TLS.MaxVersion", tlsMax(o.TLS), tlsMax(o.TLS) != 0 && tlsMax(o.TLS) < tls.VersionTLS12, "is below TLS 1.2"},
		{"Multicast.TTL", o.Multicast.TTL, o.Multicast.TTL > 255, "can't be above 255"},
	} {
		if f.bad {
			return fmt.Errorf("chanio: option %s = %v %s", f.name, f.value, f.why)
		}
	}
	if err := checkPrefixes(o.ProxyFrom); err != nil {
		return err
	}
	if f, ok := o.Framing.(interface{ check() error }); ok {
		if err := f.check(); err != nil {
			return fmt.Errorf("chanio: option Framing: %w", err)
		}
	}
	return o.checkPing()
}

func tlsMax(c *tls.Config) uint16 {
	if c == nil {
		return 0
	}
	return c.MaxVersion
}
