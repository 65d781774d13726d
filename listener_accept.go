package chanio

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// streams is the source of a listener over a net.Listener.
type streams struct {
	ln    net.Listener
	file  *socketFile // a unix listener's, otherwise nil
	close sync.Once   // closes ln; a second caller waits, as the address is not free before that

	// Used only if ln has no deadlines.
	mu        sync.Mutex // never held while blocking
	accepting bool       // an Accept that knows of no drain is in progress
	draining  bool       // drain was called
	last      func()     // keeps drain from ending that Accept; nil unless drain found one
	closers   sync.WaitGroup
}

func newStreams(ln net.Listener, set *settings) *streams {
	return &streams{ln: ln, file: fileOf(ln, set.KeepSocket)}
}

func (a *streams) addr() net.Addr { return a.ln.Addr() }
func (a *streams) release()       { a.interrupt() }
func (a *streams) stats() Stats   { return Stats{} }

func (a *streams) interrupt() {
	a.close.Do(func() {
		a.file.leave()
		a.ln.Close()
	})
}

func (a *streams) serve(ctx context.Context, l *Listener, quit <-chan struct{}) error {
	err := l.accept(ctx, a, quit)
	a.closers.Wait() // soon: each was stopped, or has closed ln
	switch {
	case err != nil:
		l.endServing() // or undelivered sessions would be waited for
	case l.isDraining():
		a.interrupt()
		l.finish(quit)
	}
	l.handshakes.abort()
	return err
}

// accept admits connections until accepting is interrupted, and then returns
// nil, or fails permanently.
func (l *Listener) accept(ctx context.Context, a *streams, quit <-chan struct{}) error {
	pause, queue := time.Duration(0), acceptQueue{backlogTime, backlogSize}
	for l.awaitPlace(quit) {
		var conn net.Conn
		var err error
		draining := l.isDraining()
		if draining {
			conn, err = a.acceptBacklog(&queue)
		} else {
			conn, err = a.accept(&queue)
		}
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
		if l.isDraining() {
			if !draining && errors.Is(err, os.ErrDeadlineExceeded) {
				continue // drain ended this Accept
			}
			if errors.Is(err, os.ErrDeadlineExceeded) || !passes(err) {
				return nil
			}
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
		case <-l.draining:
			return false
		}
	}
	return true
}

// rest waits for d after a failed accept, or until a session is gone and its
// descriptor is free.
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

// passes reports whether a later accept may succeed.
func passes(err error) bool {
	if errors.Is(err, net.ErrClosed) { // whatever closed it
		return false
	}
	if errno, ok := errors.AsType[errorNumber](err); ok && passing(errno) {
		return true
	}
	// Temporary is the only way for a listener that is not the kernel's to say
	// so.
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
