package chaniotest

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// maxDelayed bounds the datagrams of a lane that are under way.
	maxDelayed = 4096
	// heldFor is how long a datagram that is to be overtaken waits for that.
	heldFor = 20 * time.Millisecond
)

// A DatagramLink says what a [Relay] does to datagrams. The zero value is a good
// network.
type DatagramLink struct {
	// Seed decides all that is random.
	Seed uint64
	// Up is the way from the clients to the server.
	Up DatagramPath
	// Down is the way from the server to the clients.
	Down DatagramPath
}

// A DatagramPath is one direction of a [DatagramLink].
type DatagramPath struct {
	// Loss is the share of the datagrams that get lost, from 0 to 1.
	Loss float64
	// Duplicate is the share of the others that arrive twice.
	Duplicate float64
	// Reorder is the share that the next datagram overtakes; if none comes
	// within 20 ms, it goes on.
	Reorder float64
	// Latency is how long a datagram is under way. More than 4,096 of a client
	// that are at the same time get lost.
	Latency time.Duration
	// Jitter is how much longer it may be, drawn anew for each, which reorders,
	// too.
	Jitter time.Duration
}

// RelayStats counts datagrams of one direction.
type RelayStats struct {
	// Received is how many came to the relay.
	Received int64
	// Lost is how many of them it lost.
	Lost int64
	// Duplicated is how many it sent twice.
	Duplicated int64
	// Reordered is how many it held back for the next one to overtake.
	Reordered int64
	// Sent is how many it has sent, duplicates included.
	Sent int64
}

func (s *RelayStats) add(o RelayStats) {
	s.Received += o.Received
	s.Lost += o.Lost
	s.Duplicated += o.Duplicated
	s.Reordered += o.Reordered
	s.Sent += o.Sent
}

// A lane carries the datagrams of one client one way.
type lane struct {
	path DatagramPath
	send func(p []byte) // does not block for long, nor fail

	mu      sync.Mutex
	rand    *rand.Rand
	stats   RelayStats
	held    *datagram // to be overtaken by the next one
	delayed int
	closed  bool
}

// A datagram is one with its fate.
type datagram struct {
	data   []byte
	copies int
	delay  time.Duration
}

func newLane(path DatagramPath, r *rand.Rand, send func(p []byte)) *lane {
	return &lane{path: path, rand: r, send: send}
}

// pass passes p on, or not.
func (l *lane) pass(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Received++
	// All is drawn for each, so that a fate does not depend on what became of
	// those before it.
	lost, twice, late := l.rand.Float64() < l.path.Loss, l.rand.Float64() < l.path.Duplicate, l.rand.Float64() < l.path.Reorder
	d := &datagram{data: p, copies: 1, delay: l.path.Latency + time.Duration(l.rand.Float64()*float64(l.path.Jitter))}
	if lost {
		l.stats.Lost++
		return
	}
	if twice {
		l.stats.Duplicated++
		d.copies = 2
	}
	if late && l.held == nil {
		l.stats.Reordered++
		d.data = bytes.Clone(p)
		l.held = d
		time.AfterFunc(heldFor, func() { l.letGo(d) })
		return
	}
	held := l.held
	l.held = nil
	l.deliver(d)
	if held != nil {
		l.deliver(held)
	}
}

// letGo passes d on if it is still held.
func (l *lane) letGo(d *datagram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == d {
		l.held = nil
		l.deliver(d)
	}
}

// deliver sends d, now or later. The caller holds mu.
func (l *lane) deliver(d *datagram) {
	if d.delay <= 0 {
		l.sendCopies(d)
		return
	}
	if l.delayed >= maxDelayed {
		l.stats.Lost++
		return
	}
	l.delayed++
	d.data = bytes.Clone(d.data)
	time.AfterFunc(d.delay, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.delayed--
		l.sendCopies(d)
	})
}

func (l *lane) sendCopies(d *datagram) {
	for range d.copies {
		if !l.closed {
			l.stats.Sent++
			l.send(d.data)
		}
	}
}

func (l *lane) snapshot() RelayStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// close makes the lane send nothing any more.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
