package chaniotest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// maxDelayed bounds the datagrams of a lane that are in flight.
	maxDelayed = 4096
	// heldFor is how long a held datagram waits to be overtaken.
	heldFor = 20 * time.Millisecond
)

// A DatagramLink says what a [Relay] does to datagrams. The zero value is a
// perfect network.
type DatagramLink struct {
	// Seed determines everything random.
	Seed uint64
	// Up is the direction from the clients to the server.
	Up DatagramPath
	// Down is the direction from the server to the clients.
	Down DatagramPath
}

// A DatagramPath is one direction of a [DatagramLink].
type DatagramPath struct {
	// Loss is the fraction of datagrams that are lost, from 0 to 1.
	Loss float64
	// Duplicate is the fraction of the others that arrive twice.
	Duplicate float64
	// Reorder is the fraction that the next datagram overtakes. If none comes
	// within 20 ms, the held datagram is sent.
	Reorder float64
	// Latency is how long a datagram is in flight. At most 4,096 datagrams of a
	// client are in flight in each direction; more are lost.
	Latency time.Duration
	// Jitter is the most that may be added to Latency, drawn for each datagram,
	// which also reorders.
	Jitter time.Duration
}

// RelayStats counts datagrams of one direction.
type RelayStats struct {
	// Received is how many arrived at the relay.
	Received int64
	// Lost is how many of them it lost.
	Lost int64
	// Duplicated is how many it sent twice.
	Duplicated int64
	// Reordered is how many it held back for the next to overtake.
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

// A lane carries the datagrams of one client in one direction.
type lane struct {
	path DatagramPath
	send func(p []byte) // does not block for long and cannot fail

	mu      sync.Mutex
	rand    *rand.Rand
	stats   RelayStats
	held    *datagram   // waits for the next one to overtake it
	delayed []*datagram // in flight, in the order in which they arrive
	closed  bool
}

// A datagram is one datagram with its fate.
type datagram struct {
	data   []byte
	copies int
	delay  time.Duration
	at     time.Time // when it arrives, once it is in flight
}

func newLane(path DatagramPath, r *rand.Rand, send func(p []byte)) *lane {
	return &lane{path: path, rand: r, send: send}
}

// pass forwards p, or does not.
func (l *lane) pass(p []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Received++
	// Everything is drawn for each datagram, so that its fate does not depend
	// on the fate of earlier ones.
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

// letGo forwards d if it is still held.
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
	if len(l.delayed) >= maxDelayed {
		l.stats.Lost++
		l.stats.Duplicated -= int64(d.copies - 1)
		return
	}
	d.data = bytes.Clone(d.data)
	d.at = time.Now().Add(d.delay)
	i, _ := slices.BinarySearchFunc(l.delayed, d.at, func(other *datagram, at time.Time) int {
		if other.at.After(at) {
			return 1
		}
		return -1 // at the same time, the first comes first
	})
	l.delayed = slices.Insert(l.delayed, i, d)
	time.AfterFunc(d.delay, l.arrive)
}

// arrive sends what has arrived. Each delayed datagram has a timer that calls it.
// Timers that expire together run in any order, so each sends all that is due.
func (l *lane) arrive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(l.delayed) && !l.delayed[n].at.After(now) {
		l.sendCopies(l.delayed[n])
		n++
	}
	l.delayed = slices.Delete(l.delayed, 0, n)
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

// close makes the lane send nothing more.
func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.held, l.delayed = true, nil, nil
}
