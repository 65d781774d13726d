package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

var errDiffers = errors.New("the echo differs from what was sent")

// plainEcho runs a goroutine per connection, on a plain net.Conn.
func plainEcho(ctx context.Context, c Config) (*report.Report, error) {
	conns, err := dialAll(ctx, c)
	if err != nil {
		return nil, err
	}
	w := newWindow(c)
	p := newPattern(c)
	var wg sync.WaitGroup
	for i, conn := range conns {
		e := newEcho(w, p, i)
		wg.Go(func() { e.run(conn) })
	}
	r := w.measure(ctx)
	closeAll(conns)
	wg.Wait()
	return r, nil
}

// A pattern is what clients send: the same message over and over.
type pattern struct {
	size   int    // of a message on the wire
	flight int    // messages that a client keeps in flight
	bytes  []byte // whole messages: at least flight, and more than one read takes
}

// frameHeader is the length of a frame's header: the payload's length,
// big-endian.
const frameHeader = 4

// readSize is the most that a stream client reads at a time, unless its messages
// in flight need more.
const readSize = 64 << 10

func newPattern(c Config) *pattern {
	message := make([]byte, 0, frameHeader+c.Size)
	if c.Frame {
		message = binary.BigEndian.AppendUint32(message, uint32(c.Size))
	}
	for i := range c.Size {
		message = append(message, byte('a'+i%26))
	}
	n := max(c.Messages, readSize/len(message)+2)
	return &pattern{len(message), c.Messages, bytes.Repeat(message, n)}
}

// inFlight returns all bytes that a client keeps in flight.
func (p *pattern) inFlight() []byte { return p.messages(p.flight) }

// messages returns n messages.
func (p *pattern) messages(n int) []byte { return p.bytes[:n*p.size] }

// follows reports whether b is what must follow part bytes of a message.
func (p *pattern) follows(part int, b []byte) bool {
	return bytes.Equal(b, p.bytes[part:part+len(b)])
}

// An echo is one client: it keeps its messages in flight.
type echo struct {
	window  *window
	pattern *pattern
	tally   *tally
	latency *report.Shard
	flight  flight
	part    int // bytes received of an incomplete message
}

func newEcho(w *window, p *pattern, i int) *echo {
	return &echo{window: w, pattern: p, tally: w.tally(), latency: w.latencies.Shard(i)}
}

// run sends and receives until the run is over.
func (e *echo) run(conn net.Conn) {
	err := e.exchange(conn)
	conn.Close()
	e.window.fail(err)
}

// exchange sends from a separate goroutine if more may be in flight than the
// kernel holds.
func (e *echo) exchange(conn net.Conn) error {
	if len(e.pattern.inFlight()) <= readSize {
		return e.loop(conn, func(n int) error {
			_, err := conn.Write(e.pattern.messages(n))
			return err
		})
	}
	w := startWriter(conn, e.pattern)
	err := e.loop(conn, w.send)
	conn.Close()
	if werr := w.stop(); errors.Is(err, net.ErrClosed) && werr != nil {
		return werr // the writer failed first, and closed conn
	}
	return err
}

// loop sends all messages, then one for each that comes back, until the run is
// over.
func (e *echo) loop(conn net.Conn, send func(n int) error) error {
	e.flight.push(e.window.config.Messages, time.Now())
	if err := send(e.window.config.Messages); err != nil {
		return err
	}
	buf := make([]byte, min(max(len(e.pattern.inFlight()), 4<<10), readSize))
	for !e.window.over.Load() {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		now := time.Now()
		whole, err := e.received(buf[:n], now)
		if err != nil {
			return err
		}
		if whole == 0 {
			continue
		}
		e.flight.push(whole, now)
		if err := send(whole); err != nil {
			return err
		}
	}
	return nil
}

// received processes what was read and returns how many messages are complete.
func (e *echo) received(b []byte, now time.Time) (int, error) {
	open := e.window.open.Load()
	if (!open || e.window.config.Check) && !e.pattern.follows(e.part, b) {
		return 0, errDiffers
	}
	whole := (e.part + len(b)) / e.pattern.size
	e.part = (e.part + len(b)) % e.pattern.size
	e.flight.pop(whole, func(n int, sent time.Time) {
		if open {
			e.latency.Record(now.Sub(sent), n)
		}
	})
	if open {
		e.tally.bytes.Add(int64(len(b)))
		e.tally.messages.Add(int64(whole))
	}
	return whole, nil
}
