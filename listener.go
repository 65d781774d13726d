package chanio

import (
	"context"
	"errors"
	"iter"
	"net"
	"sync"
)

// A Listener is a server. It accepts connections or udp peers and delivers each
// as a [Session]. All methods are safe for concurrent use.
type Listener struct {
	set    *settings
	bind   func() (source, error) // rebinds the same address; nil after Serve
	addr   net.Addr
	reg    *registry
	hub    *Hub
	events *eventQueue

	handshakes handshakes
	arrivals   arrivals

	draining chan struct{} // closed by Drain with mu held
	sessions chan *Session // sent by whoever admits sessions; closed by run
	done     chan struct{} // closed by run, as its last act
	stopCtx  func() bool   // stops watching the context

	mu      sync.Mutex // never held while blocking
	src     source
	past    Stats         // of previous sources
	quit    chan struct{} // closed to stop accepting, permanently or for a restart
	quitted bool          // quit is closed
	stopped bool          // permanently
	err     error
	restart chan error // answers the waiting Restart; nil if there is none
}

// Listen binds address and serves it until ctx ends. The context bounds the
// listener's lifetime, not the call: when it ends, all sessions end, the
// channels are closed, and no goroutine is left.
//
// Networks are tcp, tcp4, tcp6 and unix, with TLS if o.TLS is set; udp, udp4 and
// udp6; and unixpacket, on Linux only, which preserves message boundaries. A
// stale unix socket file is replaced; one in use is an error.
// Nil options mean the defaults.
func Listen(ctx context.Context, network, address string, o *Options) (*Listener, error) {
	set, err := listenSettings(ctx, network, o)
	if err != nil {
		return nil, err
	}
	bind := func(ctx context.Context, address string) (source, error) {
		if kindOf(network) == datagramNetwork {
			return listenPeers(ctx, network, address, set)
		}
		return bindStream(ctx, network, address, set)
	}
	if ctx.Err() != nil {
		return nil, wrapOp("listen", network, nil, nil, contextError(ctx))
	}
	src, err := bind(ctx, address)
	if err != nil {
		return nil, err
	}
	l := newListener(set, src)
	l.bind = func() (source, error) { return bind(context.WithoutCancel(ctx), src.addr().String()) }
	l.start(ctx)
	return l, nil
}

// Serve is Listen over connections accepted from ln, which from then on belongs
// to the listener. If o.TLS is set, Serve speaks TLS over them. Connections of
// a TLS listener ([tls.Listen]) perform their handshake as Listen's do, under
// HandshakeTimeout and MaxHandshakes. Restart is not supported.
//
// A nil ln or invalid options yield a listener that has already ended with that
// Err.
func Serve(ctx context.Context, ln net.Listener, o *Options) *Listener {
	set, err := o.resolve(false)
	if err == nil {
		err = set.checkServerTLS()
	}
	if ln == nil {
		err = errors.New("chanio: Serve of a nil net.Listener")
	}
	if err != nil {
		set = new(settings)
		if ln == nil {
			ln = noListener{}
		}
	}
	l := newListener(set, newStreams(ln, set))
	if err != nil {
		l.stop(err)
	}
	l.start(ctx)
	return l
}

func newListener(set *settings, src source) *Listener {
	events := newEventQueue(set)
	l := &Listener{
		set:        set,
		addr:       unmapAddr(src.addr()),
		reg:        newRegistry(events),
		hub:        newHub(set),
		events:     events,
		handshakes: handshakes{limit: set.MaxHandshakes},
		draining:   make(chan struct{}),
		sessions:   make(chan *Session),
		done:       make(chan struct{}),
		src:        src,
		quit:       make(chan struct{}),
	}
	l.reg.boundHosts(set.MaxSessionsPerAddr)
	if l.addr == nil {
		l.addr = noAddr{} // a user's net.Listener may return nil
	}
	return l
}

// start starts the listener's goroutine and ends the listener with ctx.
func (l *Listener) start(ctx context.Context) {
	l.events.emit(Event{Kind: EventStarted})
	l.stopCtx = context.AfterFunc(ctx, func() {
		cause := contextError(ctx)
		l.reg.close() // first, so that every session ends with this cause
		l.reg.end(cause)
		l.stop(cause)
	})
	go l.run(ctx)
}

// Sessions returns the channel of new sessions. The listener sends each once it
// is connected and its TLS handshake, if any, is complete. The channel has no
// buffer: if sessions are not received, accepting pauses and the kernel's
// backlog fills, but running sessions continue. It is closed when the listener
// stops, after Err is set. The receiver of a session must end it.
func (l *Listener) Sessions() <-chan *Session { return l.sessions }

// Events returns the channel of the listener's events. It never blocks the
// listener: beyond Options.EventQueue buffered events the oldest are dropped
// and counted in Stats().EventsDropped. It is closed when the listener has
// ended, after EventStopped.
func (l *Listener) Events() <-chan Event { return l.events.channel() }

// Session returns the live session with that ID. A session is forgotten once it
// is Done.
func (l *Listener) Session(id ID) (*Session, bool) { return l.reg.session(id) }

// All iterates over the sessions that are live when iteration starts, in no
// particular order. Sessions may come and go meanwhile.
func (l *Listener) All() iter.Seq[*Session] { return l.reg.all() }

// Len returns the number of live sessions.
func (l *Listener) Len() int { return l.reg.count() }

// Addr returns the address that the listener is bound to.
func (l *Listener) Addr() net.Addr { return l.addr }

// Stats returns the totals of all sessions, including those that have ended.
func (l *Listener) Stats() Stats {
	st := l.reg.stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	st.add(l.past)
	st.add(l.src.stats())
	return st
}

// DisconnectAll aborts every live session and returns when they are gone. The
// listener keeps running.
func (l *Listener) DisconnectAll() {
	all := l.reg.snapshot()
	for _, s := range all {
		s.abort(ErrClosed)
	}
	for _, s := range all {
		<-s.done.wait()
	}
}

// Shutdown ends the listener gracefully. It stops accepting and reading, drops
// sessions that were not received from Sessions, and closes every Recv, so that
// handlers finish and end their sessions. Sessions that remain after
// Options.CloseTimeout get a Close. Shutdown returns nil when everything has
// ended. If ctx ends first, it aborts the rest and returns ctx's error. A
// listener cannot be used again after Shutdown.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.stop(nil)
	return l.reg.shutdown(ctx, l.set.CloseTimeout, l.done)
}

// Close aborts every session and returns nil when all goroutines have exited.
func (l *Listener) Close() error {
	l.stop(nil)
	l.reg.abort(ErrClosed)
	<-l.done
	return nil
}

// Done returns a channel that is closed when the listener and all its sessions
// have ended and its goroutines have exited.
func (l *Listener) Done() <-chan struct{} { return l.done }

// Err returns nil while the listener runs and after Close and Shutdown.
// Otherwise it returns the context's cause if that ended it, or what failed.
func (l *Listener) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// stop stops accepting permanently; the first err counts.
func (l *Listener) stop(err error) {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return
	}
	l.stopped = true
	l.err = err
	l.reg.close() // before another call can return: who finds l stopped ends all that the registry has
	src := l.interrupt()
	l.mu.Unlock()
	src.interrupt()
}

// interrupt makes run stop serving. The caller holds mu, and must interrupt the
// returned source after releasing it.
func (l *Listener) interrupt() source {
	if !l.quitted {
		l.quitted = true
		close(l.quit)
	}
	return l.src
}

// endServing interrupts serving after the source has failed.
func (l *Listener) endServing() {
	l.mu.Lock()
	l.interrupt()
	l.mu.Unlock()
}

func (l *Listener) closedError(op string) error {
	return wrapOp(op, l.addr.Network(), nil, l.addr, ErrClosed)
}

// run is the listener's goroutine. It serves, restarts, and ends the listener
// once it is stopped and the last session is gone. start starts it.
func (l *Listener) run(ctx context.Context) {
	for {
		l.mu.Lock()
		src, quit := l.src, l.quit
		l.mu.Unlock()
		err := src.serve(ctx, l, quit)
		if !l.rebind(err) {
			break
		}
	}
	close(l.sessions)
	l.reg.awaitEmpty()
	l.src.release()
	l.hub.stop(l.Err())
	<-l.hub.Done()
	l.arrivals.close()
	l.stopCtx()
	l.events.close(l.Err())
	close(l.done)
}

// A source is where a listener's sessions come from: a net.Listener, or the
// peers of a udp socket.
type source interface {
	addr() net.Addr
	// serve admits sessions until interrupt is called, and then returns nil, or
	// until a permanent error. Nothing that it started is still running when it
	// returns.
	serve(ctx context.Context, l *Listener, quit <-chan struct{}) error
	// interrupt ends serve, now or later.
	interrupt()
	// drain makes serve admit no one new, and return when nothing is left to
	// do.
	drain()
	// release is called when no session is left.
	release()
	// stats returns what the source counts in addition to the sessions.
	stats() Stats
}

// noListener stands in for a nil net.Listener, noAddr for a missing address.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return noAddr{} }

type noAddr struct{}

func (noAddr) Network() string { return "none" }
func (noAddr) String() string  { return "none" }
