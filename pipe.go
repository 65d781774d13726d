package chanio

import (
	"context"
	"errors"
	"sync"
)

// Pipe copies what a receives to b and what b receives to a until both have
// ended. It returns nil if both ended cleanly, otherwise the first error of the
// two. Nothing else may receive from the sessions. Pipe copies messages, so each
// is sent under the framing of the sending session, after what Put and Send
// accepted before. A caller may have received the first messages itself; Pipe
// copies the rest.
//
// A session that takes less than arrives holds up reading from the other. When
// one peer ends its stream, Pipe calls CloseWrite on the other session, and the
// other direction continues. When one session fails, the other is aborted: its
// peer must not mistake a broken stream for a complete one. When a peer stops
// reading because it has closed, what it sent is still copied; then both
// sessions are closed.
//
// When ctx ends, both sessions are aborted with its cause.
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
	running.Go(func() { fromA.run(ctx) })
	fromB.run(ctx)
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

// run copies until from has no more, and passes the end on. It copies batches,
// unless single messages have been received from the session before.
func (d *direction) run(ctx context.Context) {
	if form(d.from.form.Load()) == formMessages {
		pass(d, d.from.Recv(), d.to.Put)
		return
	}
	// What was sent by Put before, such as a header, goes first. An error is the
	// end of to, or of ctx, which PutBatch and AfterFunc see, or a lost datagram,
	// which is left for the user's Flush or Close to tell.
	if err := d.to.Flush(ctx); err != nil && err != ctx.Err() && !errors.Is(err, ErrClosed) {
		d.to.losses().note(err)
	}
	pass(d, d.from.RecvBatch(), d.to.PutBatch)
}

// pass is run for one form of messages.
func pass[T any](d *direction, received <-chan T, put func(T) error) {
	refused := copyAll(d, received, put)
	close(d.over)
	switch {
	case refused:
		discard(d, received)
	case d.from.ended() || d.from.Err() == nil:
		d.to.CloseWrite() // an error is to's own, which Err returns
	default:
		d.to.Abort(d.from.Err())
	}
}

// copyAll copies until from has no more or to takes no more, and reports the
// latter.
func copyAll[T any](d *direction, received <-chan T, put func(T) error) (refused bool) {
	for m := range received {
		if err := put(m); err != nil {
			if !d.to.life().refusing() { // the message is at fault: the framing can't carry it
				d.from.Abort(err)
				d.to.Abort(err)
			}
			return true
		}
	}
	return false
}

// discard throws away what to does not take, so that from's peer can continue
// and end. Once to is gone and from has what to sent, there is nothing
// left to wait for.
func discard[T any](d *direction, received <-chan T) {
	for {
		select {
		case _, ok := <-received:
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

// ended reports whether everything up to the peer's end of stream was received.
func (s *Session) ended() bool { return s.life().input() == inputEnded }
