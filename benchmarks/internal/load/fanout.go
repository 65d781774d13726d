package load

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

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
		a := &assembler{message: make([]byte, size), header: size - d.Size, arrived: f.arrived}
		f.window.start(func() error { return l.receive(a.receive) })
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

func (a *assembler) receive(b []byte, _ bool) bool {
	for len(b) > 0 {
		n := copy(a.message[a.have:], b)
		b = b[n:]
		if a.have += n; a.have == len(a.message) {
			a.have = 0
			a.arrived(a.message[a.header:])
		}
	}
	return true
}
