package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"example.com/chanio"
	"example.com/chanio/benchmarks/internal/report"
)

var errEnded = errors.New("the server ended the session")

// chanioEcho keeps messages in flight through the channels of sessions dialed
// with chanio.
func chanioEcho(ctx context.Context, c Config) (*report.Report, error) {
	sessions, err := dialSessions(ctx, c)
	defer abortAll(sessions)
	if err != nil {
		return nil, err
	}
	framed := c.Frame
	c.Frame = false // the library frames; the messages sent and received here are unframed
	w, p := newWindow(c), newPattern(c)
	var wg sync.WaitGroup
	for i, s := range sessions {
		e := &sessionEcho{echo: newEcho(w, p, i), session: s, whole: framed, orders: make(chan int, c.Messages)}
		run := e.run
		if c.Batch {
			run = e.runBatches
		}
		wg.Go(func() { w.fail(run()) })
	}
	r := w.measure(ctx)
	abortAll(sessions)
	wg.Wait()
	return r, nil
}

// A sessionEcho is one client. It sends from a separate goroutine, as every user
// must whose messages in flight may exceed what the queues on the way hold.
type sessionEcho struct {
	*echo
	session *chanio.Session
	whole   bool     // messages are sent one by one, and the session keeps their boundaries
	orders  chan int // how many messages to send; never holds more orders than messages in flight
}

// run sends all messages, then one for each that comes back, until the run is
// over.
func (e *sessionEcho) run() error {
	var wg sync.WaitGroup
	wg.Go(e.send)
	defer wg.Wait()
	defer close(e.orders)

	e.begin()
	for m := range e.session.Recv() {
		now := time.Now()
		whole, err := e.received(m, now)
		if err != nil {
			e.session.Abort(err)
			return err
		}
		if whole > 0 {
			e.flight.push(whole, now)
			e.orders <- whole
		}
	}
	return e.ended()
}

// begin orders all messages that are to be in flight.
func (e *sessionEcho) begin() {
	e.flight.push(e.pattern.flight, time.Now())
	e.orders <- e.pattern.flight
}

func (e *sessionEcho) ended() error {
	if err := e.session.Err(); err != nil {
		return err
	}
	return errEnded
}

// runBatches is run with batches.
func (e *sessionEcho) runBatches() error {
	var wg sync.WaitGroup
	wg.Go(e.sendBatches)
	defer wg.Wait()
	defer close(e.orders)

	e.begin()
	for b := range e.session.RecvBatch() {
		now := time.Now()
		whole := 0
		for _, m := range b.All() {
			n, err := e.received(m, now)
			if err != nil {
				e.session.Abort(err)
				return err
			}
			whole += n
		}
		b.Release()
		if whole > 0 {
			e.flight.push(whole, now)
			e.orders <- whole
		}
	}
	return e.ended()
}

// sendBatches is send with one batch per order.
func (e *sessionEcho) sendBatches() {
	for n := range e.orders {
		b := chanio.NewBatch()
		if e.whole {
			for range n {
				b.Append(e.pattern.messages(1))
			}
		} else {
			b.Append(e.pattern.messages(n))
		}
		select {
		case e.session.SendBatch() <- b:
		case <-e.session.Done():
		}
	}
}

// send sends what is ordered until orders is closed.
func (e *sessionEcho) send() {
	for n := range e.orders {
		times, size := 1, n
		if e.whole {
			times, size = n, 1
		}
		for range times {
			select {
			case e.session.Send() <- e.pattern.messages(size):
			case <-e.session.Done():
			}
		}
	}
}
