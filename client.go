package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Dial connects to address and returns the session. The context bounds the
// session's lifetime, not the dialing: under a context.WithTimeout the session
// would close when the time is up. Options.DialTimeout bounds dialing,
// handshake included. The error of a timeout is context.DeadlineExceeded, and
// its Timeout method returns true.
//
// Networks are those of [Listen]. If o.TLS is set, Dial returns after the
// handshake. Names with several addresses are tried as net.Dialer does.
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

// idleTimeout returns the IdleTimeout that the user set.
func (o *Options) idleTimeout() time.Duration {
	if o == nil {
		return 0
	}
	return o.IdleTimeout
}

// dial connects, until ctx ends or DialTimeout has passed.
func dial(ctx context.Context, network, address string, set *settings) (transport, error) {
	if set.DialTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, set.DialTimeout)
		defer cancel()
	}
	conn, err := set.connect(ctx, network, address)
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
	if _, handed := unwrap(conn); set.TLS == nil || handed != nil {
		t, err := transportOf(conn, set)
		if h, ok := t.(handshaker); ok && err == nil {
			err = h.handshake(ctx) // of a *tls.Conn from DialContext
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		return t, nil
	}
	t := newTLSStream(conn, tls.Client, clientTLS(set.TLS, network, address))
	if err := t.handshake(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// connect makes a connection as the options say.
func (set *settings) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if set.DialContext != nil && kindOf(network) != datagramNetwork {
		return set.dialedByUser(ctx, network, address)
	}
	return networkNamed(network).dial(ctx, network, address, set)
}

// dialByName dials a network that package net knows.
func dialByName(ctx context.Context, network, address string, set *settings) (net.Conn, error) {
	d := net.Dialer{}
	if set.Dialer != nil {
		d = *set.Dialer
	}
	if set.KeepAlive != nil {
		d.KeepAliveConfig = *set.KeepAlive
	}
	chooseInterface(&d, network, set.Multicast.Interface)
	return d.DialContext(ctx, network, address)
}

// dialedByUser calls Options.DialContext and checks what it returns: any net.Conn
// can be a stream, unless it preserves message boundaries. For unixpacket it must.
func (set *settings) dialedByUser(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := set.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if conn == nil {
		return nil, errors.New("option DialContext returned nil")
	}
	if kindOf(network) == packetNetwork {
		if newPackets(conn) == nil {
			conn.Close()
			return nil, fmt.Errorf("option DialContext returned no unixpacket connection: %w", errors.ErrUnsupported)
		}
		return conn, nil
	}
	if err := checkStream(conn); err != nil {
		conn.Close()
		return nil, fmt.Errorf("option DialContext returned no stream: %w", err)
	}
	return conn, nil
}

// A Client keeps one session to a server up. It dials, delivers the session,
// and dials again when the session ends. All methods are safe for concurrent
// use.
type Client struct {
	set     *settings
	network string
	address string
	reg     *registry
	events  *eventQueue

	sessions chan *Session // sent and closed by run
	redial   chan struct{} // one slot, filled under mu: Reconnect was called since the last attempt began
	quit     chan struct{} // closed by stop
	done     chan struct{} // closed by run, as its last act

	dialing context.CancelFunc // ends all dialing
	stopCtx func() bool        // stops watching the context

	mu      sync.Mutex // never held while blocking
	try     func()     // cancels the dial in progress; nil if there is none
	current *Session   // the last one connected
	stopped bool
	err     error
}

// Connect keeps one session to address up until ctx ends. Options.DialTimeout
// bounds each dial, Options.Backoff sets the pause before the next, and each
// failed attempt is an [EventFailed].
//
// An unknown network or invalid options yield a client that has already ended
// with that Err.
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
		c.reg.end(cause)
		c.stop(cause)
	})
	go c.run(ctx, dialCtx)
	return c
}

// Sessions returns the channel of sessions. Each is sent when it is connected,
// after the previous one is Done. The channel has no buffer. A session that is
// not received keeps running, and is replaced by the next one once it has
// ended. The channel is closed when the client stops, after Err is set.
func (c *Client) Sessions() <-chan *Session { return c.sessions }

// Events returns the channel of the client's events; see [Listener.Events].
func (c *Client) Events() <-chan Event { return c.events.channel() }

// Reconnect closes the current session, as [Session.Close] does, and dials as
// soon as it is Done. Without a session it cancels a dial in progress and dials
// at once, regardless of Backoff. It does not wait.
func (c *Client) Reconnect() {
	c.mu.Lock()
	select {
	case c.redial <- struct{}{}:
	default:
	}
	if c.try != nil {
		c.try()
	}
	current := c.current
	c.mu.Unlock()
	if current != nil {
		current.beginClose()
	}
}

// Stats returns the totals of all sessions, including those that have ended.
func (c *Client) Stats() Stats { return c.reg.stats() }

// Shutdown ends the client as [Listener.Shutdown] ends a listener. It stops
// dialing and closes the session's Recv, so that its handler ends the session.
// After Options.CloseTimeout it closes the session. If ctx ends first, it
// aborts the session and returns ctx's error.
func (c *Client) Shutdown(ctx context.Context) error {
	c.stop(nil)
	return c.reg.shutdown(ctx, c.set.CloseTimeout, c.done)
}

// Close aborts the session and returns nil when all goroutines have exited.
func (c *Client) Close() error {
	c.stop(nil)
	c.reg.abort(ErrClosed)
	<-c.done
	return nil
}

// Done returns a channel that is closed when the client and its session have
// ended and its goroutines have exited.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns nil while the client runs and after Close and Shutdown. Otherwise
// it returns what ended the client: the context's cause, or invalid options.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// stop stops dialing permanently; the first err counts.
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

// run is the client's goroutine. It dials, delivers and waits until the client
// is stopped and its session is gone. Connect starts it.
func (c *Client) run(ctx, dialCtx context.Context) {
	pause := noPause // the one before this attempt
	for c.running() {
		if s := c.connect(ctx, dialCtx); s != nil && c.set.Backoff.held(c.hold(s), pause) {
			pause = noPause
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

// connect dials and returns the session, which has not started. It returns nil
// if the attempt failed, or if Reconnect or the client's end came before it
// succeeded.
func (c *Client) connect(ctx, dialCtx context.Context) *Session {
	tryCtx, cancel := context.WithCancel(withEvents(dialCtx, c.events))
	defer cancel()
	c.beginTry(cancel)
	tr, err := dial(tryCtx, c.network, c.address, c.set)
	if err != nil {
		if !c.endTry(nil) && dialCtx.Err() == nil { // the client's end is no failure
			c.events.emit(Event{Kind: EventFailed, Err: err})
		}
		return nil
	}
	s := newSession(ctx, tr, c.set, c.reg)
	if c.endTry(s) || !c.reg.reserve() {
		tr.shut(true)
		return nil
	}
	if !c.reg.add(s) {
		c.reg.left()
		tr.shut(true)
		return nil
	}
	return s
}

// beginTry records a dial that cancel aborts. This dial serves any earlier
// Reconnect.
func (c *Client) beginTry(cancel context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.redial:
	default:
	}
	c.try = cancel
}

// endTry records the end of the dial and s as the current session. If Reconnect
// was called meanwhile it returns true, and s must not be used: rest sees the
// same call and does not wait.
func (c *Client) endTry(s *Session) (superseded bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.try = nil
	if len(c.redial) > 0 {
		return true
	}
	c.current = s
	return false
}

// hold starts and delivers s, waits for its end, and returns how long it lived.
func (c *Client) hold(s *Session) time.Duration {
	began := time.Now()
	s.connected(c.events)
	s.start()
	select {
	case c.sessions <- s:
		<-s.done.wait()
	case <-s.done.wait():
	case <-c.quit: // it was not received and never will be
		s.abort(ErrClosed)
		<-s.done.wait()
	}
	return time.Since(began)
}

// rest waits for d or until Reconnect. It reports whether to continue.
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
