package chanio

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Dial connects to address and returns the session. Its context is the
// session's life, not the dialing's: under a context.WithTimeout the session
// would close when that time is up. Options.DialTimeout bounds the dialing,
// handshake included; the error of a timeout is context.DeadlineExceeded, and
// its Timeout is true.
//
// Networks are those of [Listen]. With o.TLS it returns after the handshake.
// Names with several addresses are tried as net.Dialer does.
func Dial(ctx context.Context, network, address string, o *Options) (*Session, error) {
	set, err := dialSettings(ctx, network, o)
	if err != nil {
		return nil, err
	}
	tr, err := dial(ctx, network, address, set)
	if err != nil {
		return nil, err
	}
	s := newSession(ctx, tr, set, nil)
	s.watch(ctx)
	s.start()
	return s, nil
}

// dialSettings resolves the options of something that dials.
func dialSettings(ctx context.Context, network string, o *Options) (*settings, error) {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
		return o.resolve(false)
	case "udp", "udp4", "udp6":
		set, err := datagramSettings(ctx, "dial", network, o)
		if err == nil {
			set.IdleTimeout = max(0, o.idleTimeout()) // the default is for peers that nobody chose
		}
		return set, err
	}
	return nil, wrapOp("dial", network, nil, nil, net.UnknownNetworkError(network))
}

// idleTimeout returns what the user asked for.
func (o *Options) idleTimeout() time.Duration {
	if o == nil {
		return 0
	}
	return o.IdleTimeout
}

// dial connects, until ctx ends or DialTimeout is up.
func dial(ctx context.Context, network, address string, set *settings) (transport, error) {
	if set.DialTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, set.DialTimeout)
		defer cancel()
	}
	d := net.Dialer{}
	if set.Dialer != nil {
		d = *set.Dialer
	}
	if set.KeepAlive != nil {
		d.KeepAliveConfig = *set.KeepAlive
	}
	chooseInterface(&d, network, set.Multicast.Interface)
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, wrapOp("dial", network, nil, nil, err)
	}
	if err := tune(conn, set); err != nil {
		conn.Close()
		return nil, err
	}
	if udp, ok := conn.(*net.UDPConn); ok {
		return newDialed(udp, network, set)
	}
	if set.TLS == nil {
		return newStream(conn), nil
	}
	t := newTLSStream(conn, tls.Client, clientTLS(set.TLS, network, address))
	if err := t.handshake(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// clientTLS names the server to be verified, unless config says who it is, or
// that nobody is verified.
func clientTLS(config *tls.Config, network, address string) *tls.Config {
	if config.ServerName != "" || config.InsecureSkipVerify || network == "unix" {
		return config
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return config // net.Dialer took it, so this can't be
	}
	config = config.Clone()
	config.ServerName = host
	return config
}

// A Client keeps one session to a server up: it dials, delivers the session,
// and when that ends dials again. All methods are safe for concurrent use.
type Client struct {
	set     *settings
	network string
	address string
	reg     *registry
	events  *eventQueue

	sessions chan *Session // sent and closed by run
	redial   chan struct{} // one slot: run shall not wait for its next try
	quit     chan struct{} // closed by stop
	done     chan struct{} // closed by run, last of all

	dialing context.CancelFunc // ends a dial that is under way, for good
	stopCtx func() bool        // ends the watch over the context

	mu      sync.Mutex // never held across anything that blocks
	stopped bool
	err     error
}

// Connect keeps one session to address up until ctx ends. Each dial is bounded
// by Options.DialTimeout; before the next one it waits as Options.Backoff says;
// every failed try is an [EventFailed].
//
// A network or options that cannot be right yield a client that has ended, with
// that Err.
func Connect(ctx context.Context, network, address string, o *Options) *Client {
	set, err := dialSettings(ctx, network, o)
	if set == nil {
		set = new(settings)
	}
	events := newEventQueue(set)
	c := &Client{
		set:      set,
		network:  network,
		address:  address,
		reg:      newRegistry(events),
		events:   events,
		sessions: make(chan *Session),
		redial:   make(chan struct{}, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	dialCtx, cancel := context.WithCancel(ctx)
	c.dialing = cancel
	events.emit(Event{Kind: EventStarted})
	if err != nil {
		c.stop(err)
	}
	c.stopCtx = context.AfterFunc(ctx, func() {
		cause := contextError(ctx)
		c.reg.close() // first, so that every session ends with this cause
		c.reg.terminate(cause, false)
		c.stop(cause)
	})
	go c.run(ctx, dialCtx)
	return c
}

// Sessions returns the channel of sessions: each is sent when it is connected,
// after the one before it is Done. It has no buffer. One that nobody receives
// runs on, and is replaced by the next one once it has ended. The channel is
// closed when the client stops, after Err is set.
func (c *Client) Sessions() <-chan *Session { return c.sessions }

// Events returns the channel of the client's events; see [Listener.Events].
func (c *Client) Events() <-chan Event { return c.events.channel() }

// Reconnect closes the current session, in order, and dials as soon as that is
// Done; without one it dials at once, whatever Backoff says. It does not wait.
func (c *Client) Reconnect() {
	current := c.reg.snapshot() // before the dial, whose session is not to be closed
	select {
	case c.redial <- struct{}{}:
	default:
	}
	for _, s := range current {
		s.beginClose()
	}
}

// Stats returns the totals of all sessions, those that have ended included.
func (c *Client) Stats() Stats { return c.reg.stats() }

// Shutdown ends the client in order, as [Listener.Shutdown] does: no dial any
// more, the session's Recv is closed so that its handler ends it, it gets a
// Close after Options.CloseTimeout, and is aborted when ctx ends first, whose
// error is returned then.
func (c *Client) Shutdown(ctx context.Context) error {
	c.stop(nil)
	return c.reg.shutdown(ctx, c.set.CloseTimeout, c.done)
}

// Close aborts the session and returns nil when all goroutines are gone.
func (c *Client) Close() error {
	c.stop(nil)
	c.reg.terminate(ErrClosed, true)
	<-c.done
	return nil
}

// Done returns a channel that is closed when the client has ended and its
// session and goroutines are gone.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the client runs and after Close and Shutdown, else what
// ended it: the context's cause, or options that cannot be right.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// stop ends the dialing for good; the first err counts.
func (c *Client) stop(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.stopped = true
	c.err = err
	c.dialing()
	close(c.quit)
	c.reg.close()
}

// run is the client's goroutine: it dials, delivers, and waits, until the
// client is stopped and its session has gone. Connect starts it.
func (c *Client) run(ctx, dialCtx context.Context) {
	var pause time.Duration // the one before the try
	for c.running() {
		held, ok := c.session(ctx, dialCtx)
		if ok && held > pause {
			pause = 0
		}
		pause = c.set.Backoff.next(pause)
		if !c.rest(c.set.Backoff.jitter(pause)) {
			break
		}
	}
	close(c.sessions)
	c.reg.awaitEmpty()
	c.stopCtx()
	c.events.close(c.Err())
	close(c.done)
}

func (c *Client) running() bool {
	select {
	case <-c.quit:
		return false
	default:
		return true
	}
}

// session dials, and if that succeeds delivers the session and waits for its
// end. It returns how long the session lived.
func (c *Client) session(ctx, dialCtx context.Context) (held time.Duration, ok bool) {
	select {
	case <-c.redial: // it asked for no more than this
	default:
	}
	tr, err := dial(withEvents(dialCtx, c.events), c.network, c.address, c.set)
	if err != nil {
		if c.running() {
			c.events.emit(Event{Kind: EventFailed, Err: err})
		}
		return 0, false
	}
	s := newSession(ctx, tr, c.set, c.reg)
	if !c.reg.reserve() {
		tr.shut(true)
		return 0, false
	}
	if !c.reg.add(s) {
		c.reg.left()
		tr.shut(true)
		return 0, false
	}
	began := time.Now()
	s.connected(c.events)
	s.start()
	select {
	case c.sessions <- s:
		<-s.done
	case <-s.done:
	case <-c.quit: // nobody has received it, and nobody will
		s.terminate(ErrClosed, true)
		<-s.done
	}
	return time.Since(began), true
}

// rest waits for d, or until Reconnect. It reports whether to go on.
func (c *Client) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.redial:
	case <-c.quit:
		return false
	}
	return true
}

// next returns the pause that follows d, the first one if d is 0.
func (b *Backoff) next(d time.Duration) time.Duration {
	if grown := float64(d) * b.Factor; grown < float64(b.Max) {
		return max(b.Min, time.Duration(grown))
	}
	return b.Max
}

// jitter returns a random part of d, which keeps the clients of a server that
// went away from coming back at the same moment.
func (b *Backoff) jitter(d time.Duration) time.Duration {
	return d - time.Duration(rand.Float64()*b.Jitter*float64(d))
}
