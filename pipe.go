package chanio

import (
	"context"
	"sync"
)

// Pipe copies what a receives to b and what b receives to a until both have ended,
// and returns nil if both ended cleanly, else the first error that ended one. Both
// must be the caller's alone: nobody else may receive from them. It copies
// messages, so that each goes out under the framing of the session that sends it.
//
// A session that takes less than comes holds up the reading from the other one.
// When the peer of one ends its stream, so does the other one's CloseWrite, and the
// other direction goes on. When one fails, the other is aborted: a peer must not
// take a stream that broke off for a whole one. When one takes no more, because its
// peer has closed, what came from there is still copied; then both are closed.
//
// When ctx ends, both sessions are aborted, with its cause.
func Pipe(ctx context.Context, a, b *Session) error {
	stop := context.AfterFunc(ctx, func() {
		cause := contextError(ctx)
		a.Abort(cause)
		b.Abort(cause)
	})
	defer stop()
	fromA := &direction{from: a, to: b, over: make(chan struct{})}
	fromB := &direction{from: b, to: a, over: make(chan struct{})}
	fromA.back, fromB.back = fromB, fromA
	var running sync.WaitGroup
	running.Go(fromA.run)
	fromB.run()
	running.Wait()
	<-a.Done()
	<-b.Done()
	if err := a.Err(); err != nil {
		return err
	}
	return b.Err()
}

// A direction is half of a Pipe.
type direction struct {
	from, to *Session
	back     *direction
	over     chan struct{} // closed when nothing more is copied
}

// run copies until from has no more, and passes its end on.
func (d *direction) run() {
	refused := d.copy()
	close(d.over)
	switch {
	case refused:
		d.discard()
	case d.from.ended() || d.from.Err() == nil:
		d.to.CloseWrite() // an error is to's own, which Err returns
	default:
		d.to.Abort(d.from.Err())
	}
}

// copy copies until from has no more, or to takes no more, which it reports.
func (d *direction) copy() (refused bool) {
	for m := range d.from.Recv() {
		if err := d.to.Put(m); err != nil {
			if !d.to.life().refusing() { // it is the message: framing can't carry it
				d.from.Abort(err)
				d.to.Abort(err)
			}
			return true
		}
	}
	return false
}

// discard throws away what to does not take, so that from's peer can go on and
// end. Once to has gone, and from has what came of it, there is nothing left to
// wait for.
func (d *direction) discard() {
	for {
		select {
		case _, ok := <-d.from.Recv():
			if !ok {
				return
			}
		case <-d.to.Done():
			<-d.back.over
			d.from.Close()
			return
		}
	}
}

// ended reports whether the peer's end of stream was received.
func (s *Session) ended() bool { return s.life().atEnd() }
