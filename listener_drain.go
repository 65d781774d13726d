package chanio

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/chanio/internal/readable"
)

// Drain stops accepting and lets the sessions run until they end on their own,
// for a process whose replacement has taken over. It returns nil once the last
// session and the listener have ended. If ctx ends first, Drain returns its
// error and the remaining sessions continue: call Drain again, Shutdown or
// Close.
//
// Connections that peers have already made are not refused: those waiting in
// the kernel are accepted, as far as Options.MaxSessions allows at once,
// handshakes continue, and each is delivered. Sessions is closed after the last
// of them, so keep receiving. A socket that another process shares (its
// descriptor was handed over) stays open there.
//
// On udp, new peers are ignored, and the listener's socket is read as long as
// there are sessions; another socket on the same port does not hear from their
// peers.
func (l *Listener) Drain(ctx context.Context) error {
	l.mu.Lock()
	src := l.src
	first := !l.stopped && !l.isDraining()
	if first {
		close(l.draining)
	}
	l.mu.Unlock()
	if first {
		src.drain()
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-l.done: // both
		return nil
	default:
		return ctx.Err()
	}
}

// isDraining reports whether Drain was called.
func (l *Listener) isDraining() bool {
	select {
	case <-l.draining:
		return true
	default:
		return false
	}
}

// Connections made before a drain wait in the kernel and would be reset, so
// accepting continues until none has come for backlogPause. Others may share the
// socket and take what comes from now on, so it ends after backlogTime, or once
// nothing waits or a full backlog has been taken, whichever is later: a machine
// may be too busy to do that in backlogTime.
const (
	backlogPause = 10 * time.Millisecond
	backlogTime  = 100 * time.Millisecond
	backlogSize  = 4096 // Linux' default of net.core.somaxconn, which Go listens with
)

// drain ends a waiting Accept. If ln has no deadlines, only closing it does, and
// that must wait: others may be connected and not accepted.
func (a *streams) drain() {
	if setDeadline(a.ln, time.Now().Add(backlogPause)) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
	if a.accepting {
		a.last = a.closeLater(backlogTime) // it may be parked, and a connection be waking it
	}
}

// closeLater closes ln after d, unless stop is called before. It waits in steps:
// each waits for the scheduler, as an Accept does that has not looked yet, so a
// busy machine is given more time.
func (a *streams) closeLater(d time.Duration) (stop func()) {
	const steps = 10
	var decided atomic.Bool
	stopped := make(chan struct{})
	a.closers.Go(func() { // ends after the steps
		for range steps {
			select {
			case <-stopped:
				return
			case <-time.After(d / steps):
			}
		}
		if decided.CompareAndSwap(false, true) {
			a.interrupt()
		}
	})
	return func() {
		decided.Store(true)
		close(stopped)
	}
}

// accept is Accept until drain is called.
func (a *streams) accept(q *acceptQueue) (net.Conn, error) {
	a.mu.Lock()
	a.accepting = !a.draining
	a.mu.Unlock()
	if !a.accepting {
		return a.acceptBacklog(q)
	}
	conn, err := a.ln.Accept()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accepting = false
	if a.last != nil {
		a.last()
		a.last = nil
	}
	return conn, err
}

// setDeadline sets the deadline of Accept, or reports that ln does not support
// it.
func setDeadline(ln net.Listener, at time.Time) bool {
	d, ok := ln.(interface{ SetDeadline(time.Time) error })
	return ok && d.SetDeadline(at) == nil
}

// An acceptQueue is what connected before a drain and waits to be accepted.
type acceptQueue struct {
	time time.Duration // how long accepting it may still wait
	size int           // how many connections may still be in it
}

// acceptBacklog accepts one of them, or returns an error if there is none. If ln
// has no deadlines, that closes it.
func (a *streams) acceptBacklog(q *acceptQueue) (net.Conn, error) {
	for q.time > 0 || q.size > 0 && waits(a.ln) {
		start := time.Now()
		stop := func() {}
		if !setDeadline(a.ln, start.Add(backlogPause)) {
			stop = a.closeLater(backlogPause)
		}
		conn, err := a.ln.Accept()
		stop()
		q.time -= time.Since(start)
		switch {
		case err == nil:
			q.size--
			return conn, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, err
		case !waits(a.ln):
			q.time, q.size = 0, 0
		} // else the deadline passed before Accept looked
	}
	return nil, os.ErrDeadlineExceeded
}

// waits reports whether a connection waits to be accepted, where that is known.
func waits(ln net.Listener) bool {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := c.SyscallConn()
	return err == nil && readable.Now(rc)
}

// finish waits for what drain has left, handshakes and undelivered sessions,
// unless quit is closed first.
func (l *Listener) finish(quit <-chan struct{}) {
	finished := make(chan struct{})
	go func() { // it does not outlast handshakes.abort, which follows
		l.handshakes.goroutines.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-quit:
	}
}
