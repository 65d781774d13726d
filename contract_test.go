package chanio_test

import (
	"context"
	"crypto/tls"
	"iter"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"example.com/chanio"
)

// The code below does not run. It compiles only while names and signatures are
// the ones that programs written against the library rely on.

type sessionAPI interface {
	ID() chanio.ID
	Recv() <-chan []byte
	Send() chan<- []byte
	Put(p []byte) error
	Write(p []byte) (int, error)
	Flush(ctx context.Context) error
	CloseWrite() error
	Close() error
	Abort(cause error)
	Done() <-chan struct{}
	Err() error
	Context() context.Context
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	TLS() (tls.ConnectionState, bool)
	Stats() chanio.Stats
	NetConn() net.Conn
}
type listenerAPI interface {
	Sessions() <-chan *chanio.Session
	Events() <-chan chanio.Event
	Multicast(p []byte) error
	Hub() *chanio.Hub
	Session(id chanio.ID) (*chanio.Session, bool)
	All() iter.Seq[*chanio.Session]
	Len() int
	Addr() net.Addr
	Stats() chanio.Stats
	DisconnectAll()
	Restart(ctx context.Context) error
	Shutdown(ctx context.Context) error
	Close() error
	Done() <-chan struct{}
	Err() error
}
type clientAPI interface {
	Sessions() <-chan *chanio.Session
	Events() <-chan chanio.Event
	Reconnect()
	Stats() chanio.Stats
	Shutdown(ctx context.Context) error
	Close() error
	Done() <-chan struct{}
	Err() error
}
type packetAPI interface {
	Recv() <-chan chanio.Packet
	Send() chan<- chanio.Packet
	Put(m chanio.Packet) error
	Events() <-chan chanio.Event
	JoinGroup(group netip.Addr, ifi *net.Interface) error
	JoinSource(group, source netip.Addr, ifi *net.Interface) error
	LeaveGroup(group netip.Addr, ifi *net.Interface) error
	LocalAddr() netip.AddrPort
	Flush(ctx context.Context) error
	Close() error
	Abort(cause error)
	Done() <-chan struct{}
	Err() error
	Context() context.Context
	Stats() chanio.Stats
}
type hubAPI interface {
	Join(s *chanio.Session) error
	Leave(s *chanio.Session)
	Multicast(p []byte) error
	Send() chan<- []byte
	Flush(ctx context.Context) error
	Events() <-chan chanio.Event
	Len() int
	All() iter.Seq[*chanio.Session]
	Stats() chanio.Stats
	Close() error
	Done() <-chan struct{}
	Err() error
	Shutdown(ctx context.Context) error
}
type timerAPI interface {
	Reset(d time.Duration)
	ResetAt(at time.Time)
	Every(d time.Duration)
	C() <-chan chanio.Expiry
	Wait(ctx context.Context) (chanio.Expiry, error)
	Cancel() bool
	Deadline() (time.Time, bool)
}
type serviceAPI interface {
	Post(fn func(ctx context.Context)) error
	Dispatch(ctx context.Context, fn func(ctx context.Context)) error
	Go(fn func(ctx context.Context) error)
	Context() context.Context
	Restart(ctx context.Context) error
	Shutdown(ctx context.Context) error
	Close() error
	Done() <-chan struct{}
	Err() error
}

var (
	_ sessionAPI                                                                         = (*chanio.Session)(nil)
	_ listenerAPI                                                                        = (*chanio.Listener)(nil)
	_ clientAPI                                                                          = (*chanio.Client)(nil)
	_ packetAPI                                                                          = (*chanio.PacketConn)(nil)
	_ hubAPI                                                                             = (*chanio.Hub)(nil)
	_ timerAPI                                                                           = (*chanio.Timer)(nil)
	_ serviceAPI                                                                         = (*chanio.Service)(nil)
	_ func(context.Context, net.Conn, *chanio.Options) *chanio.Session                   = chanio.NewSession
	_ func(context.Context, string, string, *chanio.Options) (*chanio.Listener, error)   = chanio.Listen
	_ func(context.Context, net.Listener, *chanio.Options) *chanio.Listener              = chanio.Serve
	_ func(context.Context, string, string, *chanio.Options) (*chanio.Session, error)    = chanio.Dial
	_ func(context.Context, string, string, *chanio.Options) *chanio.Client              = chanio.Connect
	_ func(context.Context, string, string, *chanio.Options) (*chanio.PacketConn, error) = chanio.ListenPacket
	_ func(context.Context, string, string, *chanio.Options) (*chanio.PacketConn, error) = chanio.ListenMulticast
	_ func(context.Context, *chanio.Options) *chanio.Hub                                 = chanio.NewHub
	_ func(context.Context) *chanio.Timer                                                = chanio.NewTimer
	_ func(context.Context, *chanio.Options) *chanio.Service                             = chanio.NewService
	_ chanio.Framing                                                                     = chanio.Lines{}
	_ chanio.Framing                                                                     = chanio.Delimiter{Byte: 0}
	_ chanio.Framing                                                                     = chanio.LengthPrefix{Size: 1, LittleEndian: true, IncludesHeader: true}
	_                                                                                    = chanio.Expiry{Time: time.Time{}, Canceled: true}
	_                                                                                    = chanio.Packet{Addr: netip.AddrPort{}, Local: netip.AddrPort{}, IfIndex: 1, Data: nil}
	_                                                                                    = chanio.Event{Kind: chanio.EventStarted, Time: time.Time{}, Session: nil, Err: nil, Count: 0}
)

var _ = chanio.Options{
	TLS: &tls.Config{}, HandshakeTimeout: time.Second, MaxHandshakes: 1,
	Framing: chanio.Lines{}, MaxMessage: 1, MessageTimeout: time.Second,
	RecvQueue: 1, SendQueue: 1, EventQueue: 1, PostQueue: 1,
	IdleTimeout: time.Second, WriteTimeout: time.Second, CloseTimeout: time.Second, DialTimeout: time.Second,
	KeepAlive: &net.KeepAliveConfig{}, Nagle: true, ReuseAddr: true, ReusePort: true, ReadBuffer: 1, WriteBuffer: 1,
	MaxSessions: 1, ManualJoin: true, Lag: chanio.LagBlock, MaxLag: 1,
	Backoff:   chanio.Backoff{Min: time.Second, Max: time.Second, Factor: 2, Jitter: 0.1},
	Dialer:    &net.Dialer{},
	Multicast: chanio.Multicast{Interface: &net.Interface{}, TTL: 1, NoLoopback: true, Source: netip.Addr{}},
	Logger:    slog.Default(),
}

var (
	_ = []chanio.EventKind{
		chanio.EventStarted, chanio.EventConnected, chanio.EventHandshaked, chanio.EventDisconnected,
		chanio.EventLagged, chanio.EventJoined, chanio.EventLeft, chanio.EventFailed, chanio.EventStopped,
	}
	_ = []error{chanio.ErrClosed, chanio.ErrLagged, chanio.ErrMessageTooLarge, chanio.ErrFull, chanio.ErrTooManySessions}
	_ = []chanio.LagPolicy{chanio.LagDisconnect, chanio.LagDrop, chanio.LagBlock}
	_ = []chanio.Framing{chanio.Lines{}, chanio.Delimiter{Byte: 1}, chanio.LengthPrefix{Size: 1, LittleEndian: true, Varint: false, IncludesHeader: true}}
	_ = []int64{
		chanio.Stats{}.Sessions, chanio.Stats{}.BytesReceived, chanio.Stats{}.BytesSent, chanio.Stats{}.BytesPending,
		chanio.Stats{}.MessagesReceived, chanio.Stats{}.MessagesSent, chanio.Stats{}.MessagesDropped,
		chanio.Stats{}.Undelivered, chanio.Stats{}.EventsDropped,
	}
)
