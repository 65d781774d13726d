package trial

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/stamp"
)

// Fanout is how long messages took from publishing until the last member had
// them.
type Fanout struct {
	Messages int                 `json:"messages"`
	Latency  *report.Percentiles `json:"latency"`
}

// Publishing configures the multicast: its members and messages.
type Publishing struct {
	Members int
	Rate    int // messages per second
	Size    int // bytes of a message, including its stamp
	Length  time.Duration
}

// MeasureFanout starts s, a multicast server that stamps its messages, with
// members that are idle between messages.
func MeasureFanout(ctx context.Context, s Server, what Publishing) (*Fanout, error) {
	if what.Members < 1 || what.Rate < 1 {
		return nil, errNotPositive
	}
	if what.Size < stamp.Size {
		return nil, fmt.Errorf("a message needs %d bytes for its stamp", stamp.Size)
	}
	if err := process.AllowFiles(what.Members + 100); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startup+what.Length)
	defer cancel()
	s.Args = append([]string{
		"-stamp",
		"-m", strconv.Itoa(what.Rate),
		"-s", strconv.Itoa(what.Size),
		"-c", strconv.Itoa(what.Members),
	}, s.Args...)
	server, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	f := &fanout{
		conns:    make([]net.Conn, what.Members),
		size:     what.Size,
		whole:    make(chan struct{}),
		arrivals: make(map[uint64]*arrival),
		latency:  report.NewLatencies(1),
	}
	result, err := f.measure(ctx, server, what.Length)
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	return result, err
}

type fanout struct {
	conns []net.Conn
	size  int           // of a message
	whole chan struct{} // closed when the first message has reached every member
	over  atomic.Bool

	mu       sync.Mutex
	arrivals map[uint64]*arrival // messages that not all members have yet, by stamp
	messages int                 // messages that all members received
	latency  *report.Latencies
}

// An arrival is the progress of a message.
type arrival struct {
	members int           // members that have it
	last    time.Duration // its age when the last of them got it
}

func (f *fanout) measure(ctx context.Context, server *running, length time.Duration) (*Fanout, error) {
	defer f.close()
	g, dialing := errgroup.WithContext(ctx)
	g.SetLimit(idleWorkers)
	for i := range f.conns {
		g.Go(func() (err error) {
			f.conns[i], err = server.endpoint.Dial(dialing, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}

	members, alive := errgroup.WithContext(ctx)
	for _, conn := range f.conns {
		members.Go(func() error { return f.receive(conn) })
	}
	pause(alive, length)
	select { // on a slow machine, a short run takes as long as it must
	case <-f.whole:
	case <-alive.Done():
	}
	f.over.Store(true)
	f.close()
	if err := members.Wait(); err != nil {
		return nil, err
	}
	if f.messages == 0 {
		return nil, fmt.Errorf("no message has reached every member: %w", ctx.Err())
	}
	return &Fanout{f.messages, f.latency.Percentiles()}, nil
}

func (f *fanout) receive(conn net.Conn) error {
	message := make([]byte, f.size)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			if f.over.Load() {
				return nil
			}
			return err
		}
		f.arrived(binary.BigEndian.Uint64(message), stamp.Age(message))
	}
}

// arrived records that a message has reached one more member.
func (f *fanout) arrived(key uint64, age time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.arrivals[key]
	if a == nil {
		a = new(arrival)
		f.arrivals[key] = a
	}
	a.members++
	a.last = max(a.last, age)
	if a.members == len(f.conns) {
		delete(f.arrivals, key)
		if f.messages++; f.messages == 1 {
			close(f.whole)
		}
		f.latency.Shard(0).Record(a.last, 1)
	}
}

func (f *fanout) close() {
	for _, conn := range f.conns {
		if conn != nil {
			conn.Close()
		}
	}
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
