package chanio

import (
	"context"
	"errors"
	"iter"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"example.com/chanio/internal/sockopt"
)

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// all iterates over a snapshot.
func (r *registry) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) { slices.Values(r.snapshot())(yield) }
}

// streams is the source of a listener over a net.Listener.
type streams struct {
	ln    net.Listener
	close sync.Once // closes ln; who comes second waits, as the address is free only then
}

func (a *streams) addr() net.Addr { return a.ln.Addr() }
func (a *streams) interrupt()     { a.close.Do(func() { a.ln.Close() }) }
func (a *streams) release()       { a.interrupt() }
func (a *streams) stats() Stats   { return Stats{} }

func (a *streams) serve(ctx context.Context, l *Listener, quit <-chan struct{}) error {
	err := l.accept(ctx, a.ln, quit)
	if err != nil {
		l.endServing() // or sessions nobody receives would be waited for
	}
	l.handshakes.abort()
	return err
}

// accept admits connections until the accepting is interrupted, which is nil,
// or fails for good.
func (l *Listener) accept(ctx context.Context, ln net.Listener, quit <-chan struct{}) error {
	pause := time.Duration(0)
	for l.awaitPlace(quit) {
		conn, err := ln.Accept()
		if err == nil {
			pause = 0
			l.admit(ctx, conn, quit)
			continue
		}
		select {
		case <-quit:
			return nil
		default:
		}
		err = wrapOp("accept", l.addr.Network(), nil, l.addr, err)
		if !passes(err) {
			return err
		}
		l.events.emit(Event{Kind: EventFailed, Err: err})
		pause = min(max(2*pause, acceptPauseMin), acceptPauseMax)
		if !l.rest(pause, quit) {
			return nil
		}
	}
	return nil
}

// awaitPlace waits until MaxSessions allows another session.
func (l *Listener) awaitPlace(quit <-chan struct{}) bool {
	for l.set.MaxSessions > 0 && l.reg.size() >= l.set.MaxSessions {
		select {
		case <-l.reg.change:
		case <-quit:
			return false
		}
	}
	return true
}

// rest waits for d after an accept that failed, or until a session has gone and
// its descriptor is free.
func (l *Listener) rest(d time.Duration, quit <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.reg.change:
	case <-quit:
		return false
	}
	return true
}

// admit makes conn a session and delivers it; with TLS, in a goroutine of its
// own, after the handshake.
func (l *Listener) admit(ctx context.Context, conn net.Conn, quit <-chan struct{}) {
	if err := tune(conn, l.set); err != nil {
		conn.Close()
		l.events.emit(Event{Kind: EventFailed, Err: err})
		return
	}
	if !l.reg.reserve() {
		abortConn(conn)
		return
	}
	if h := l.handshaker(conn); h != nil {
		l.startHandshake(ctx, h, quit)
		return
	}
	if s := l.begin(ctx, newStream(conn)); s != nil {
		l.deliver(s, quit)
	}
}

// begin starts a session over t, for which a place was reserved. It is nil if
// the listener has ended.
func (l *Listener) begin(ctx context.Context, t transport) *Session {
	s := newSession(ctx, t, l.set, l.reg)
	if !l.reg.add(s) {
		t.shut(true)
		l.reg.left()
		return nil
	}
	s.connected(l.events)
	if !l.set.ManualJoin {
		l.hub.Join(s) // fails only if s or l has ended meanwhile
	}
	s.start()
	return s
}

// deliver sends s to whoever receives Sessions, or drops it.
func (l *Listener) deliver(s *Session, quit <-chan struct{}) {
	select {
	case l.sessions <- s:
	case <-quit:
		s.abort(ErrClosed)
	}
}

// passes reports whether an accept may succeed later.
func passes(err error) bool {
	if errno, ok := errors.AsType[syscall.Errno](err); ok && passing(errno) {
		return true
	}
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	// Temporary is the only way in which a listener that is not the kernel's
	// can say it.
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// bindStream binds a stream address.
func bindStream(ctx context.Context, network, address string, set *settings) (source, error) {
	config := net.ListenConfig{Control: set.control}
	if set.KeepAlive != nil {
		config.KeepAliveConfig = *set.KeepAlive
	}
	ln, err := config.Listen(ctx, network, address)
	if network == "unix" && errors.Is(err, errAddressInUse) && removeStale(address) {
		ln, err = config.Listen(ctx, network, address)
	}
	if err != nil {
		return nil, wrapOp("listen", network, nil, nil, err)
	}
	return &streams{ln: ln}, nil
}

// removeStale removes a unix socket file that nobody listens on.
func removeStale(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, errRefused) && os.Remove(path) == nil
}

// control sets the options of a socket before it is bound.
func (set *settings) control(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		if set.ReuseAddr {
			failed = sockopt.ReuseAddr(fd)
		}
		if set.ReusePort && failed == nil {
			failed = sockopt.ReusePort(fd)
		}
	})
	return errors.Join(err, failed)
}
