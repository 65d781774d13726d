package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

// numberSize is how many bytes of a datagram its number takes.
const numberSize = 8

// stallTime is how long a client waits for a datagram before it gives up
// everything in flight.
const stallTime = 200 * time.Millisecond

var errTooSmall = errors.New("datagrams are numbered: they need at least 8 bytes")

// plainEchoDatagrams runs a goroutine and a connected socket per client.
func plainEchoDatagrams(ctx context.Context, c Config) (*report.Report, error) {
	if c.Size < numberSize {
		return nil, errTooSmall
	}
	conns, err := dialAll(ctx, c)
	if err != nil {
		return nil, err
	}
	w := newWindow(c)
	clients := make([]*datagramEcho, len(conns))
	var wg sync.WaitGroup
	for i, conn := range conns {
		e := &datagramEcho{conn: conn, window: w, course: newCourse(w, i)}
		clients[i] = e
		wg.Go(func() {
			w.fail(e.run())
			conn.Close()
		})
	}
	done := make(chan struct{})
	wg.Go(func() { wakeStalled(clients, done) })
	r := w.measure(ctx)
	close(done)
	closeAll(conns)
	wg.Wait()
	return r, nil
}

// wakeStalled interrupts the reads of clients that have long received nothing,
// until done is closed. One watcher costs less than a deadline per read.
func wakeStalled(clients []*datagramEcho, done <-chan struct{}) {
	tick := time.NewTicker(stallTime)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		for _, c := range clients {
			if c.progress.Swap(false) {
				continue
			}
			_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // fails if conn is closed, and then its client ends anyway
		}
	}
}

// A datagramEcho is one client.
type datagramEcho struct {
	conn     net.Conn
	window   *window
	course   *course
	progress atomic.Bool // something arrived since the watcher last looked
}

// run sends all datagrams, then one for each that came back or was lost, until
// the run is over.
func (e *datagramEcho) run() error {
	message := bytes.Clone(newPattern(e.window.config).messages(1))
	expect := bytes.Clone(message[numberSize:])
	buf := make([]byte, len(message)+1)
	owed := e.window.config.Messages
	for !e.window.over.Load() {
		now := time.Now()
		for range owed {
			binary.BigEndian.PutUint64(message, e.course.send(now))
			if _, err := e.conn.Write(message); err != nil {
				return err
			}
		}
		n, err := e.conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err := e.conn.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			owed = e.course.abandon()
			continue
		}
		if err != nil {
			return err
		}
		e.progress.Store(true)
		if n != len(message) || !bytes.Equal(buf[numberSize:n], expect) {
			return errDiffers
		}
		owed = e.course.receive(binary.BigEndian.Uint64(buf), time.Now())
	}
	return nil
}
