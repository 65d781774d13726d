package chanio

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/proxyproto"
	"example.com/chanio/internal/readable"
	"example.com/chanio/internal/sock"
)

// admit makes conn a session and delivers it. This runs on the accepting
// goroutine, so it calls no method of conn that could block. Only a kernel
// socket that needs nothing from its peer becomes a session here; every other
// connection gets a goroutine.
func (l *Listener) admit(ctx context.Context, conn net.Conn, quit <-chan struct{}) {
	if !l.reg.reserve() {
		l.drop(conn)
		return
	}
	if under, _ := unwrap(conn); !isSocket(under) || l.awaitsPeer(conn) {
		l.startHandshake(ctx, conn, quit)
		return
	}
	var t transport
	err := tune(conn, l.set)
	if err == nil {
		t, err = l.ready(conn, proxyproto.Header{})
	}
	if err == nil {
		err = l.claim(t.localAddr(), t.remoteAddr())
	}
	if err != nil {
		abortConn(underTLS(conn))
		l.reg.left()
		l.events.emit(Event{Kind: EventFailed, Err: err})
		return
	}
	if s := l.begin(ctx, t); s != nil {
		l.deliver(s, quit)
	}
}

// awaitsPeer reports whether something must arrive from the peer before conn
// becomes a session.
func (l *Listener) awaitsPeer(conn net.Conn) bool {
	under, handed := unwrap(conn)
	return isTLS(under) || (l.set.TLS != nil || l.set.ProxyProtocol) && handed == nil
}

// drop closes a connection that came too late, in a goroutine, because Close
// may block if conn is not a socket.
func (l *Listener) drop(conn net.Conn) {
	l.handshakes.goroutines.Go(func() { abortConn(underTLS(conn)) })
}

// begin starts a session over t, for which a place was reserved. It returns nil
// if the listener has ended.
func (l *Listener) begin(ctx context.Context, t transport) *Session {
	s := newSession(ctx, t, l.set, l.reg)
	if !l.reg.add(s) {
		t.shut(true)
		l.reg.unclaim(hostOf(t.remoteAddr()))
		l.reg.left()
		return nil
	}
	s.connected(l.events)
	if !l.set.ManualJoin {
		l.hub.Join(s) // fails only if s or l has ended meanwhile
	}
	s.startHeard(&l.arrivals)
	return s
}

// deliver sends s on Sessions, or drops it if quit is closed.
func (l *Listener) deliver(s *Session, quit <-chan struct{}) {
	select {
	case l.sessions <- s:
	case <-quit:
		s.abort(ErrClosed)
	}
}

// startHandshake starts the goroutine that makes a session of conn, as soon as
// there is a place for it. ctx is the listener's.
func (l *Listener) startHandshake(ctx context.Context, conn net.Conn, quit <-chan struct{}) {
	// quit reports the end of ctx; ctx itself would make it look like a
	// failure.
	shakeCtx, cancel := context.WithCancelCause(withEvents(context.WithoutCancel(ctx), l.events))
	one := &handshake{cancel: cancel, conn: conn}
	from := one.find()
	for !l.handshakes.begin(one, from) {
		select {
		case <-l.reg.change:
		case <-quit:
			cancel(nil)
			l.drop(conn)
			l.reg.left()
			return
		}
	}
	var a *attendance
	if !l.awaitsPeer(conn) && l.handshakes.alone() { // before the goroutine can change that
		a = &attendance{sessions: make(chan *Session), over: make(chan struct{})}
	}
	l.handshakes.goroutines.Go(func() {
		defer cancel(nil)
		t := l.shake(shakeCtx, one, quit)
		if t == nil {
			a.pass(nil)
			return
		}
		l.deliverShaken(ctx, t, a, quit)
	})
	if a != nil {
		l.attend(a, quit)
	}
}

// deliverShaken makes t a session and delivers it.
func (l *Listener) deliverShaken(ctx context.Context, t transport, a *attendance, quit <-chan struct{}) {
	s := l.begin(ctx, t)
	if s != nil {
		if a.pass(s) {
			return
		}
		l.deliver(s, quit)
	}
	l.handshakes.delivered()
	a.pass(nil)
	l.reg.wake() // after delivered: accepting may wait for this place
}

// An attendance lets the accepting goroutine wait briefly for a connection that
// is not a socket and that, as far as is known, needs nothing from its peer to
// become a session.
type attendance struct {
	sessions chan *Session // the session, or nil, while the connection is attended
	over     chan struct{} // closed when it no longer is
}

// pass passes s to the accepting goroutine, if that is attending, and reports
// whether it was. That then counts s as delivered.
func (a *attendance) pass(s *Session) bool {
	if a == nil {
		return false
	}
	select {
	case a.sessions <- s:
		return true
	case <-a.over:
		return false
	}
}

// attention is how long accepting waits for such a connection.
const attention = time.Millisecond

// attend delivers such a connection's session, so that sessions are delivered
// in order and an undelivered one pauses accepting. A connection that takes
// longer, and any that arrives meanwhile, is left to its goroutine.
func (l *Listener) attend(a *attendance, quit <-chan struct{}) {
	defer close(a.over)
	timer := time.NewTimer(attention)
	defer timer.Stop()
	select {
	case s := <-a.sessions:
		if s != nil {
			l.deliver(s, quit)
			l.handshakes.delivered() // here, so that the next connection finds none undelivered
		}
	case <-timer.C:
	case <-quit:
	}
}

// shake makes the transport of a session within HandshakeTimeout, by which time
// everything needed from the peer has arrived. If it fails, it closes the
// connection and returns nil.
func (l *Listener) shake(ctx context.Context, one *handshake, quit <-chan struct{}) transport {
	if d := l.set.HandshakeTimeout; d > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, d, &timeoutError{"HandshakeTimeout", d})
		defer stop()
	}
	t, err := l.open(ctx, one)
	if h, ok := t.(handshaker); ok && err == nil {
		err = h.handshake(ctx)
	}
	dropped := !l.handshakes.end(one, err == nil) || err != nil && ctx.Err() != nil
	if dropped {
		err = context.Cause(ctx)
	}
	if err == nil {
		return t
	}
	// A client may complete the handshake before we do, and send. It must not
	// mistake a connection that was dropped, or refused before it began, for
	// one that ended cleanly. A failed handshake ends cleanly, after the alert
	// that says why.
	one.shut(t, dropped || t == nil)
	l.reg.unclaim(one.counted)
	l.reg.left()
	select {
	case <-quit: // the listener ended it
	default:
		l.events.emit(Event{Kind: EventFailed, Err: one.error(t, err)})
	}
	return nil
}

// open prepares conn for its handshake, if it has one, until ctx ends.
func (l *Listener) open(ctx context.Context, one *handshake) (transport, error) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		one.interrupt()
	})
	t, err := l.openNow(ctx, one)
	if !stop() {
		<-interrupted
		err = context.Cause(ctx)
	}
	return t, err
}

// openNow is open without the interruption.
func (l *Listener) openNow(ctx context.Context, one *handshake) (transport, error) {
	conn := one.conn
	if err := tune(conn, l.set); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // tune may have undone the interruption
		return nil, context.Cause(ctx)
	}
	_, handed := unwrap(conn) // whoever handed it over has read the beginning
	if l.set.ProxyProtocol && handed == nil {
		if err := l.set.trustsProxy(conn.RemoteAddr()); err != nil {
			return nil, err
		}
	}
	if one.socket != nil && !begun(conn) {
		if err := l.awaitFirst(one); err != nil {
			return nil, err
		}
	} else if one.socket == nil {
		one.from = hostOf(conn.RemoteAddr())
		l.handshakes.locate(one, one.from)
		if l.set.TLS != nil && handed == nil {
			conn = &heardConn{Conn: conn, heard: func() { l.handshakes.hear(one, one.from) }}
		}
	}
	var header proxyproto.Header
	if l.set.ProxyProtocol && handed == nil {
		var err error
		if header, err = readProxy(conn); err != nil {
			return nil, err
		}
	}
	t, err := l.ready(conn, header)
	if err != nil {
		return nil, err
	}
	if !one.counted.IsValid() {
		if err := l.count(one, t.localAddr(), t.remoteAddr()); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// awaitFirst waits until something has arrived from a socket's peer, which counts
// as soon as its address is known.
func (l *Listener) awaitFirst(one *handshake) error {
	if !l.set.ProxyProtocol {
		if err := l.count(one, unmapAddr(one.conn.LocalAddr()), unmapAddr(one.conn.RemoteAddr())); err != nil {
			return err
		}
	}
	if err := readable.Await(one.socket); err != nil {
		return err
	}
	l.handshakes.hear(one, one.from)
	return nil
}

// count counts one, between these addresses, as a session of its peer's. Until
// it becomes one, one holds that place.
func (l *Listener) count(one *handshake, local, remote net.Addr) error {
	if err := l.claim(local, remote); err != nil {
		return err
	}
	one.counted = hostOf(remote)
	return nil
}

// claim takes a place for a session between these addresses, unless the peer's
// already has too many.
func (l *Listener) claim(local, remote net.Addr) error {
	if l.reg.claim(hostOf(remote)) {
		return nil
	}
	err := fmt.Errorf("%w: MaxSessionsPerAddr = %d", ErrTooManySessions, l.set.MaxSessionsPerAddr)
	return wrapOp("accept", networkOf(remote), local, remote, err)
}

// ready returns the transport over conn.
func (l *Listener) ready(conn net.Conn, header proxyproto.Header) (transport, error) {
	var t transport
	var err error
	if h := l.handshaker(conn); h != nil {
		t, err = h, checkStream(conn)
	} else {
		t, err = transportOf(conn, l.set)
	}
	if err != nil {
		return nil, err
	}
	setAddresses(t, header)
	return t, nil
}

// find records what can be known of conn without blocking: its peer's address,
// and the socket that tells whether something arrived.
func (one *handshake) find() netip.Addr {
	conn, _ := unwrap(one.conn)
	if tc, ok := conn.(*tls.Conn); ok {
		conn = tc.NetConn()
	}
	if isSocket(conn) {
		if socket := sock.Of(conn); socket != nil {
			one.socket = socket.RawConn()
		}
		one.from = hostOf(conn.RemoteAddr())
	}
	return one.from
}

// interrupt makes calls that are blocked on conn fail.
func (one *handshake) interrupt() {
	if one.socket != nil {
		one.conn.SetReadDeadline(aLongTimeAgo)
		return
	}
	abortConn(underTLS(one.conn)) // not Close, after which there is no reset any more
}

// shut closes the connection through t, or directly if t is nil.
func (one *handshake) shut(t transport, reset bool) {
	switch {
	case t != nil:
		t.shut(reset)
	case reset:
		abortConn(underTLS(one.conn))
	default:
		one.conn.Close()
	}
}

// error returns the error of a failed handshake, with its addresses.
func (one *handshake) error(t transport, err error) error {
	var local, remote net.Addr
	switch {
	case t != nil:
		local, remote = t.localAddr(), t.remoteAddr()
	case one.socket != nil:
		local, remote = unmapAddr(one.conn.LocalAddr()), unmapAddr(one.conn.RemoteAddr())
	}
	network := networkOf(remote)
	switch e := err.(type) {
	case *opError:
		return e
	case *net.OpError:
		if e.Net != "" {
			err = e.Err
		}
	}
	return &opError{&net.OpError{Op: "handshake", Net: network, Source: local, Addr: remote, Err: err}}
}

// begun reports whether conn was used before: a Handover, or a *tls.Conn whose
// handshake is complete.
func begun(conn net.Conn) bool {
	under, handed := unwrap(conn)
	tc, ok := under.(*tls.Conn)
	return handed != nil || ok && tc.ConnectionState().HandshakeComplete
}

// isSocket reports whether conn is a kernel socket, on which only reads and
// writes wait for the peer. A type that embeds one may override methods, so the
// types must match exactly.
func isSocket(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// networkOf returns the network of a, which may be nil.
func networkOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.Network()
}

// hostOf returns the IP address of a, or the zero Addr if it has none.
func hostOf(a net.Addr) netip.Addr {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// A heardConn reports the first bytes read from a connection under TLS.
type heardConn struct {
	net.Conn
	heard func()
	told  atomic.Bool
}

func (c *heardConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.told.Load() && c.told.CompareAndSwap(false, true) {
		c.heard()
	}
	return n, err
}
