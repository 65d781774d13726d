package load

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

// runMulticast counts what arrives on each connection, or at each socket in the
// group.
func runMulticast(ctx context.Context, d *dialer) (*report.Report, error) {
	links, err := d.all(ctx)
	if err != nil {
		return nil, err
	}
	w := newWindow(d.Config)
	for _, l := range links {
		w.receive(l, counter(w))
	}
	r := w.measure(ctx, links)
	if !d.Datagrams() && !d.Deflate {
		r.Messages = r.Bytes / int64(d.pattern.back.size)
	}
	return r, nil
}

// counter returns the function that counts what one client receives. The size of
// deflated messages is the server's library's, so their frames count.
func counter(w *window) func(b []byte) {
	t := w.tally()
	if w.config.Datagrams() {
		return (&sequence{window: w, tally: t}).receive
	}
	var frames frameCounter
	return func(b []byte) {
		n := 0
		if w.config.Deflate {
			n = frames.count(b)
		}
		if w.open.Load() {
			t.bytes.Add(int64(len(b)))
			t.messages.Add(int64(n))
		}
	}
}

// A sequence tracks the datagrams that one member receives. Our servers number
// them. CppServer's do not, so their losses are unknown.
type sequence struct {
	window *window
	tally  *tally

	began bool
	next  uint64 // number of the next expected datagram
	plain bool   // datagrams have no numbers
}

func (s *sequence) receive(datagram []byte) {
	if len(datagram) < bench.NumberSize {
		return
	}
	n := binary.BigEndian.Uint64(datagram)
	if s.began && n+1 == s.next && !s.plain { // the same twice: not a number
		s.plain = true
		s.tally.lost.Store(0)
	}
	if s.window.open.Load() {
		s.tally.bytes.Add(int64(len(datagram)))
		s.tally.messages.Add(1)
		switch {
		case s.plain || !s.began:
		case n > s.next:
			s.tally.lost.Add(int64(n - s.next))
		case n < s.next:
			s.tally.lost.Add(-1) // late: it was counted as lost
		}
	}
	s.next, s.began = max(s.next, n+1), true
}

// runFanout measures how long messages take from publishing, when the server
// stamps them, until the last client has them.
func runFanout(ctx context.Context, d *dialer) (*report.Report, error) {
	links, err := d.all(ctx)
	if err != nil {
		return nil, err
	}
	f := &fanout{window: newWindow(d.Config), members: len(links), whole: make(chan struct{}), arrivals: make(map[uint64]*arrival)}
	f.tally = f.window.tally()
	for _, l := range links {
		size := d.pattern.back.size
		f.window.receive(l, (&assembler{message: make([]byte, size), header: size - d.Size, arrived: f.arrived}).receive)
	}
	select { // the first may take long: connections are new
	case <-f.whole:
	case <-ctx.Done():
	}
	r := f.window.measure(ctx, links)
	if r.Latency == nil && r.Errors == 0 {
		return nil, errors.New("no message has reached every client")
	}
	return r, nil
}

type fanout struct {
	window  *window
	members int
	whole   chan struct{} // closed when the first message has reached every member

	mu       sync.Mutex
	began    bool                // whole is closed
	arrivals map[uint64]*arrival // messages that not all members have yet, by stamp
	tally    *tally
}

// An arrival is the progress of a message.
type arrival struct {
	members int           // members that have it
	last    time.Duration // its age when the last of them got it
}

// arrived records that a message has reached one more member.
func (f *fanout) arrived(message []byte) {
	key := binary.BigEndian.Uint64(message)
	age := time.Since(time.Unix(0, int64(key)))
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.arrivals[key]
	if a == nil {
		a = new(arrival)
		f.arrivals[key] = a
	}
	a.members++
	a.last = max(a.last, age)
	if a.members < f.members {
		return
	}
	delete(f.arrivals, key)
	if !f.began {
		f.began = true
		close(f.whole)
	}
	if f.window.open.Load() {
		f.tally.messages.Add(1)
		f.window.latencies.Shard(0).Record(a.last, 1)
	}
}

// An assembler puts messages together from what arrives.
type assembler struct {
	message []byte // on the wire
	have    int    // bytes of it
	header  int    // bytes before its content
	arrived func(content []byte)
}

func (a *assembler) receive(b []byte) {
	for len(b) > 0 {
		n := copy(a.message[a.have:], b)
		b = b[n:]
		if a.have += n; a.have == len(a.message) {
			a.have = 0
			a.arrived(a.message[a.header:])
		}
	}
}
