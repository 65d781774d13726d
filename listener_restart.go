package chanio

import (
	"context"
	"errors"
)

// Restart aborts every session and rebinds the same address, including the port
// if the system chose it. The channels stay open. A failure ends the listener
// with that Err. Restart returns ctx's error if ctx ends before the restart is
// complete, which continues nevertheless. It returns an error that is ErrClosed
// once the listener has stopped or drains, and errors.ErrUnsupported after
// [Serve].
func (l *Listener) Restart(ctx context.Context) error {
	if l.bind == nil {
		return wrapOp("restart", l.addr.Network(), nil, l.addr, errors.ErrUnsupported)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	reply := make(chan error, 1)
	l.mu.Lock()
	switch {
	case l.stopped || l.isDraining():
		l.mu.Unlock()
		return l.closedError("restart")
	case l.restart != nil:
		l.mu.Unlock()
		return wrapOp("restart", l.addr.Network(), nil, l.addr, errors.New("another restart is under way"))
	}
	l.restart = reply
	src := l.interrupt()
	l.mu.Unlock()
	src.interrupt()
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rebind carries out a restart and reports whether there is a new source to
// accept from. If not, the listener has stopped, with err unless it was stopped
// before.
func (l *Listener) rebind(err error) bool {
	l.mu.Lock()
	reply := l.restart
	stopped := l.stopped
	l.mu.Unlock()
	switch {
	case stopped:
	case l.isDraining():
		l.stop(err)
	case reply == nil:
		l.stop(err)
		l.reg.abort(ErrClosed)
	default:
		l.reg.abort(ErrClosed)
		l.reg.awaitEmpty()
		if err := l.replace(); err != nil {
			l.stop(err)
		}
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	reply = l.restart // including one requested after accepting failed
	l.restart = nil
	if !l.stopped {
		l.quit, l.quitted = make(chan struct{}), false
	}
	if reply != nil {
		switch {
		case !l.stopped:
			reply <- nil
		case l.err != nil:
			reply <- l.err
		default:
			reply <- l.closedError("restart")
		}
	}
	return !l.stopped
}

// replace binds the address again.
func (l *Listener) replace() error {
	l.src.release()
	src, err := l.bind()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.past.add(l.src.stats())
	l.src = src
	stopped := l.stopped
	l.mu.Unlock()
	switch {
	case stopped:
		src.interrupt() // stop knew only the previous source
		return nil
	case l.isDraining():
		src.drain() // so did Drain
	}
	l.events.emit(Event{Kind: EventStarted})
	return nil
}
