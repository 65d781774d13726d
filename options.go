package chanio

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Options configures the functions that take it. Nil means the defaults.
//
// Like a [tls.Config], an Options must not be modified once it has been passed
// to a function, and the library does not modify it either. One value may be
// shared by any number of calls.
//
// The zero value of each field means its default. For durations, counts and
// queue sizes a negative value means none: no timeout, no bound, no queue. An
// invalid value is an error that names the field; functions without an error
// result return an object that has already ended with that Err.
type Options struct {
	// TLS enables TLS on the streams of a listener or client. If nil, there is
	// no TLS. [Listen] and [Serve] need a config with a certificate. [Dial] and
	// [Connect] set an empty ServerName from the address, even with
	// InsecureSkipVerify. TLS 1.2 is the minimum, whatever MinVersion says.
	// Each handshake uses a copy of the config with its current session ticket
	// keys. [NewSession] ignores TLS: pass it a *tls.Conn. It is an error on
	// udp networks.
	//
	// TLS that the user set up, a *tls.Conn for NewSession or a tls.Listener
	// for Serve, follows its own config, and its minimum version is
	// crypto/tls's.
	TLS *tls.Config
	// HandshakeTimeout bounds everything a listener's connection must send
	// before it becomes a session: its PROXY header, its TLS handshake, and
	// whatever a net.Conn accepted by [Serve] waits for before it knows its
	// addresses. When dialing, the handshake counts against DialTimeout. If
	// zero, 10 seconds.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds a listener's connections that are still in their
	// handshake or have not been received from Sessions. When the limit is
	// reached and most are handshakes, each new one evicts another: preferably
	// one that has sent nothing, picked at random from the address that has
	// most of those. When most are undelivered sessions, accepting pauses (on
	// udp, new peers are dropped and counted). If zero, 1,024.
	MaxHandshakes int

	// ProxyProtocol makes a stream listener require a PROXY header (version 1
	// or 2) on each connection, before anything else, TLS included. The header
	// says whose connection the proxy forwards: the session's RemoteAddr is the
	// client's address and LocalAddr the one the client connected to. If the
	// header names no client (LOCAL, UNKNOWN), they are the connection's own.
	// The header must arrive within HandshakeTimeout. A connection whose header
	// is missing or invalid is reset and reported as an [EventFailed]. It is an
	// error on udp networks.
	ProxyProtocol bool
	// ProxyFrom lists the addresses of the proxies, the only ones that may
	// connect to a listener with ProxyProtocol. Others are reset and reported
	// as an [EventFailed]. If empty, anyone who can connect can claim any
	// address. Peers on unix sockets have no address; the file's permissions
	// control who they are.
	ProxyFrom []netip.Prefix

	// Framing cuts streams into messages. If nil, a stream is raw: a received
	// message is what one read returned. Datagrams are already messages, so it
	// is an error on udp networks.
	Framing Framing
	// MaxMessage bounds the payload, in bytes, of a message received under
	// Framing. Exactly the limit is allowed; beyond it the session ends with
	// [ErrMessageTooLarge]. If zero, 1 MiB; it can't be negative.
	MaxMessage int
	// MessageTimeout bounds the time from the first byte of a message to its
	// last, under Framing, and of a TLS record with or without Framing. If
	// zero, 30 seconds. The library cannot see the records of a user's own
	// *tls.Conn (see NewSession, Serve), and does not bound them.
	MessageTimeout time.Duration

	// RecvQueue is how many messages Recv buffers. If zero, 8 on raw streams,
	// where a message is what one read returned, 32 under Framing and 128 on
	// udp. A udp session buffers at most 256 KiB and drops and counts what is
	// beyond that. A udp listener's sessions buffer at least one datagram, and two
	// until they are received from Sessions, and drop the rest too; what a dialed
	// session has no place for waits in the kernel. RecvBatch buffers one batch,
	// or none if RecvQueue is negative.
	RecvQueue int
	// SendQueue is how many messages Send buffers. If zero, as for RecvQueue.
	// SendBatch buffers one batch, or none if SendQueue is negative.
	SendQueue int
	// EventQueue is how many events Events buffers before the oldest are
	// dropped. If zero, 64. If negative, an event is lost unless someone is
	// receiving.
	EventQueue int
	// PostQueue is how many posted functions a [Service] holds before Post
	// returns [ErrFull]. If zero, 65,536; it can't be negative.
	PostQueue int

	// IdleTimeout ends a session that has received nothing for that long. Time
	// during which received data waits for the user in Recv, checked 8 times per
	// timeout, does not count; in sessions of a udp listener it does, since
	// nothing else ends one that its handler has forgotten. If zero, none on
	// streams and 2 minutes for sessions of a udp listener.
	IdleTimeout time.Duration
	// WriteTimeout ends a session whose peer has taken nothing for that long
	// while there was something to take. Any progress restarts it. Where the
	// system reports it (Linux), progress is what the peer acknowledges, checked 8
	// times per timeout: a peer that vanished is detected even while the kernel
	// still buffers. Elsewhere progress is what the kernel accepts. Over a
	// net.Conn that is not a socket, a long message shows progress only every
	// 64 KiB. If zero, 10 seconds.
	WriteTimeout time.Duration
	// CloseTimeout bounds Close, and how long a session whose output has failed
	// keeps reading without progress. If zero, 5 seconds.
	CloseTimeout time.Duration
	// HalfCloseTimeout is how long a session stays writable after its peer's
	// end of stream without write progress or an accepted message. It then ends
	// with that timeout as its Err. If zero, 1 minute.
	HalfCloseTimeout time.Duration
	// PingInterval is how long a session under Framing may receive nothing
	// before it sends its peer a ping. Pings keep open connections that proxies
	// would cut as idle. Time during which the user does not receive does not
	// count. If zero, no pings are sent.
	PingInterval time.Duration
	// PingTimeout is how long after a ping something must be received.
	// Otherwise the session ends with an error that is os.ErrDeadlineExceeded.
	// If zero, PingInterval; if negative, pings only keep the connection open.
	PingTimeout time.Duration
	// Ping is the message sent as a ping. The peer's answer is received like
	// any other message. A [SessionFraming] has its own pings, and setting Ping
	// is then an error.
	Ping []byte
	// DialTimeout bounds [Dial] and each attempt of [Connect], handshake
	// included. If zero, 10 seconds.
	DialTimeout time.Duration

	// KeepAlive configures TCP keep-alive probes. If nil, Go's default: on,
	// after 15 seconds. If nil, [NewSession] and [Serve] leave connections
	// unchanged.
	KeepAlive *net.KeepAliveConfig
	// Nagle enables Nagle's algorithm (clears TCP_NODELAY) on TCP sessions. If
	// false, small writes are sent at once.
	Nagle bool
	// ReuseAddr sets SO_REUSEADDR on sockets that [Listen] and [ListenPacket]
	// bind. If false, TCP and Unix listeners follow Go's own choice.
	ReuseAddr bool
	// ReusePort sets SO_REUSEPORT on sockets that [Listen] and [ListenPacket]
	// bind. On systems without it, binding fails with errors.ErrUnsupported.
	ReusePort bool
	// Control is called with each socket that [Listen] creates, before it is
	// bound and after the library has set its own options; see
	// [net.ListenConfig]. For dialed sockets use Dialer.Control. An error fails
	// the call.
	Control func(network, address string, c syscall.RawConn) error
	// SocketMode is the permissions of the socket file that [Listen] creates
	// for a unix listener. If zero, the umask decides. On Linux the file never
	// has more than these. Elsewhere it briefly has what the umask leaves, so
	// put it in a directory that others cannot enter. On Windows it is
	// errors.ErrUnsupported.
	SocketMode fs.FileMode
	// KeepSocket leaves a unix listener's socket file in place when the
	// listener ends, for a process that takes the socket over. If false, the
	// file is removed, unless it belongs to another listener by then.
	KeepSocket bool
	// ReadBuffer is the size in bytes of a socket's kernel receive buffer
	// (SO_RCVBUF). If zero, the system's choice; it can't be negative.
	ReadBuffer int
	// WriteBuffer is the size in bytes of a socket's kernel send buffer
	// (SO_SNDBUF). If zero, the system's choice; it can't be negative.
	WriteBuffer int

	// MaxSessions bounds a listener's live sessions. At the bound a stream
	// listener pauses accepting (handshakes count). A udp listener ends the
	// session that deserves its place least, with [ErrTooManySessions]. If
	// zero, none on streams and 65,536 on udp.
	MaxSessions int
	// MaxSessionsPerAddr bounds a stream listener's live sessions from one IP
	// address (handshakes count; an IPv6 /64 network counts as one address).
	// Beyond it a connection is reset and reported as an [EventFailed] with
	// [ErrTooManySessions]. With ProxyProtocol the address is the client's. If
	// zero, none. It is an error on udp networks, where addresses can be
	// forged.
	MaxSessionsPerAddr int
	// ManualJoin keeps a listener's sessions out of its hub until they join it
	// by Hub().Join.
	ManualJoin bool

	// Lag says what a [Hub] does to a member that falls behind. If zero,
	// [LagDisconnect].
	Lag LagPolicy
	// MaxLag is how many bytes a hub's member may fall behind. It also bounds the
	// hub's memory: members with the same framing share one log of MaxLag and a
	// segment. If zero, 16 MiB; it can't be negative.
	MaxLag int

	// Backoff paces the attempts of [Connect].
	Backoff Backoff
	// Dialer is what [Dial] and [Connect] dial with. Its Timeout and Deadline
	// bound dialing as DialTimeout does. If nil, a zero net.Dialer.
	Dialer *net.Dialer
	// DialContext, if not nil, is what [Dial] and [Connect] use instead of
	// Dialer to make stream connections, for example through a proxy or a
	// tunnel. TLS runs over the connection it returns, unless that is a
	// [Handover]. A *tls.Conn shakes hands as part of the dial. The function must
	// return soon after its context has ended. Returning a connection with
	// message boundaries (udp, unixgram, unixpacket) is an error, unless the
	// network is unixpacket, for which it must be one.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// Multicast configures IP multicast on datagram endpoints.
	Multicast Multicast

	// Logger receives a record for every event: failures and lag at warning
	// level, the rest at debug level. Its handler runs on the library's
	// goroutines and must not wait for a session, listener or client to end. If
	// nil, the library does not log.
	Logger *slog.Logger
}

// Backoff is the pause before a [Client] dials again. It starts at Min and
// grows by Factor with each attempt up to Max. It starts over after a
// connection that lasted longer than the pause before it.
type Backoff struct {
	// Min is the first pause. If zero, 100 milliseconds. If negative, there is
	// no pause before the second attempt and 100 milliseconds before the third.
	Min time.Duration
	// Max is the longest pause. If zero, 30 seconds, or Min if that is longer.
	Max time.Duration
	// Factor multiplies each pause to give the next. If zero, 2; it can't be
	// below 1.
	Factor float64
	// Jitter is the random fraction of a pause, which is drawn from
	// [d*(1-Jitter), d]. If zero, 0.2; if negative, none; it can't be above 1.
	Jitter float64
}

// Multicast configures how datagram endpoints send to and join multicast
// groups, for IPv4 and IPv6 alike.
type Multicast struct {
	// Interface is where groups are joined and multicast is sent. If nil, the
	// system's choice.
	Interface *net.Interface
	// TTL is how many routers a multicast datagram may pass (the hop limit on
	// IPv6). If zero, 1: it stays on the link. If negative, 0: it stays on the
	// host.
	TTL int
	// NoLoopback hides what is sent from members on the same host.
	NoLoopback bool
	// Source, if valid, is the only sender whose datagrams [ListenMulticast]
	// receives (a source-specific join).
	Source netip.Addr
}

// LagPolicy says what a [Hub] does to a member that is more than
// [Options].MaxLag bytes behind.
type LagPolicy int8

const (
	// LagDisconnect ends the member's session with [ErrLagged]. Publishers wait
	// instead while they outrun the members: until three quarters of them keep
	// up, and a quarter of [Options].WriteTimeout at most for a member that
	// makes progress. Where WriteTimeout is negative they wait only until one
	// member is at most half of MaxLag behind.
	LagDisconnect LagPolicy = iota
	// LagDrop lets the member skip to the newest whole message and reports
	// [EventLagged] with the number of messages skipped.
	LagDrop
	// LagBlock makes publishers wait for the member. A member that makes no
	// progress for [Options].WriteTimeout ends with [ErrLagged]. Sessions that
	// have left or are closing but have yet to write what was published before
	// make publishers wait only while they hold more than MaxLag bytes of the
	// hub's log together.
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
