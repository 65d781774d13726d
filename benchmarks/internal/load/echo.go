package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

// stallTime is how long a client waits for a datagram before it gives up
// everything in flight.
const stallTime = 200 * time.Millisecond

// runEcho runs a goroutine per client.
func runEcho(ctx context.Context, d *dialer) (*report.Report, error) {
	links, err := d.all(ctx)
	if err != nil {
		return nil, err
	}
	w := newWindow(d.Config)
	clients := make([]*echo, len(links))
	for i, l := range links {
		clients[i] = &echo{link: l, window: w, back: d.pattern.back, tally: w.tally(), latency: w.latencies.Shard(i)}
		clients[i].ahead = !d.Datagrams() && len(d.pattern.sent.messages(d.Messages)) > readSize
		w.start(clients[i].run)
	}
	if d.Datagrams() {
		w.wg.Go(func() { wakeStalled(clients, w.done) })
	}
	return w.measure(ctx, links), nil
}

// wakeStalled interrupts clients that have long received nothing, until done is
// closed. One watcher costs less than a deadline per read.
func wakeStalled(clients []*echo, done <-chan struct{}) {
	tick := time.NewTicker(stallTime)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		for _, e := range clients {
			if !e.progress.Swap(false) {
				e.link.wake()
			}
		}
	}
}

// An echo is one client: it keeps its messages in flight.
type echo struct {
	link    link
	window  *window
	back    repeated
	tally   *tally
	latency *report.Shard
	ahead   bool // more may be in flight than the kernel holds

	flight   flight
	part     int          // bytes received of an incomplete message
	frames   frameCounter // of deflated messages
	sent     uint64       // messages that were ordered
	oldest   uint64       // number of the oldest datagram in flight
	progress atomic.Bool  // a datagram arrived since the watcher last looked
}

// run sends all messages, then one for each that comes back or was lost, until
// the run is over. It sends from a separate goroutine if client and server would
// deadlock otherwise.
func (e *echo) run() error {
	if !e.ahead {
		err := e.exchange(e.link.send)
		e.link.close()
		return err
	}
	orders := make(chan int, e.window.config.Messages) // never holds more orders than messages in flight
	failed := make(chan error, 1)
	go func() { // ends when orders is closed or the link is
		var err error
		for n := range orders {
			if err = e.link.send(n); err != nil {
				e.link.close()
				break
			}
		}
		failed <- err
	}()
	err := e.exchange(func(n int) error {
		orders <- n
		return nil
	})
	close(orders)
	e.link.close()
	if sending := <-failed; sending != nil && errors.Is(err, net.ErrClosed) {
		return sending // it failed first, and closed the link
	}
	return err
}

func (e *echo) exchange(send func(n int) error) error {
	order := func(n int, now time.Time) error {
		e.flight.push(n, now)
		e.sent += uint64(n)
		return send(n)
	}
	if err := order(e.window.config.Messages, time.Now()); err != nil {
		return err
	}
	var failed error
	due := 0 // messages to send when all that has arrived is counted
	err := e.link.receive(func(b []byte, last bool) bool {
		now := time.Now()
		n, err := e.received(b, now)
		if due += n; err == nil && last && due > 0 {
			err = order(due, now)
			due = 0
		}
		failed = err
		return err == nil && !e.window.over.Load()
	})
	return errors.Join(failed, err)
}

// received counts what has arrived and returns how many messages are no longer
// in flight.
func (e *echo) received(b []byte, now time.Time) (int, error) {
	if e.window.config.Datagrams() {
		return e.datagram(b, now)
	}
	open := e.window.open.Load()
	var whole int
	if e.window.config.Deflate {
		whole = e.frames.count(b)
	} else {
		if !open && !e.back.follows(e.part, b) {
			return 0, errDiffers
		}
		whole = (e.part + len(b)) / e.back.size
		e.part = (e.part + len(b)) % e.back.size
	}
	e.land(whole, len(b), open, now)
	return whole, nil
}

// land takes n messages, which have come back in so many bytes, out of the
// flight.
func (e *echo) land(n, bytes int, open bool, now time.Time) {
	e.flight.pop(n, func(n int, sent time.Time) {
		if open {
			e.latency.Record(now.Sub(sent), n)
		}
	})
	if open {
		e.tally.bytes.Add(int64(bytes))
		e.tally.messages.Add(int64(n))
	}
}

// datagram counts a datagram and those that it overtook: they come back in
// order, so one that was overtaken is lost. When nothing arrives for long, b
// is nil, and everything in flight is lost.
func (e *echo) datagram(b []byte, now time.Time) (int, error) {
	open := e.window.open.Load()
	if b == nil {
		return e.lose(int(e.sent-e.oldest), open), nil
	}
	e.progress.Store(true)
	message := e.back.messages(1)
	if len(b) != len(message) || !bytes.Equal(b[bench.NumberSize:], message[bench.NumberSize:]) {
		return 0, errDiffers
	}
	switch n := binary.BigEndian.Uint64(b); {
	case n >= e.sent: // never sent
		return 0, nil
	case n < e.oldest:
		if open { // late: it was counted as lost
			e.tally.lost.Add(-1)
		}
		return 0, nil
	default:
		lost := e.lose(int(n-e.oldest), open)
		e.land(1, len(b), open, now)
		e.oldest++
		return lost + 1, nil
	}
}

// lose counts the oldest n datagrams in flight as lost.
func (e *echo) lose(n int, open bool) int {
	e.flight.pop(n, func(int, time.Time) {})
	e.oldest += uint64(n)
	if open {
		e.tally.lost.Add(int64(n))
	}
	return n
}

// A flight is what a client has sent and not yet received back: bursts of
// messages with their send times, oldest first. Answers come in order.
type flight struct {
	bursts []burst
	landed int // bursts, the first
}

type burst struct {
	messages int
	sent     time.Time
}

// push adds a burst of n messages sent at t.
func (f *flight) push(n int, t time.Time) {
	if 2*f.landed >= len(f.bursts) {
		f.bursts, f.landed = slices.Delete(f.bursts, 0, f.landed), 0
	}
	f.bursts = append(f.bursts, burst{n, t})
}

// pop removes the oldest n messages in flight. It calls landed for each burst,
// or part of one, with the number of messages and their send time.
func (f *flight) pop(n int, landed func(n int, sent time.Time)) {
	for n > 0 && f.landed < len(f.bursts) {
		b := &f.bursts[f.landed]
		k := min(n, b.messages)
		landed(k, b.sent)
		n -= k
		if b.messages -= k; b.messages == 0 {
			f.landed++
		}
	}
}
