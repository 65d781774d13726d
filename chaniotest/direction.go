package chaniotest

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	defaultBuffer = 64 << 10
	// segment is how many bytes share a delay on a path without Fragment.
	segment = 1460
	// On a slow path, bytes share a delay for at most slice.
	slice = 10 * time.Millisecond
)

// A direction carries bytes one way. The arrival time of each byte is decided
// when the byte is taken, from its place in the stream, so the same seed does
// the same however the stream is written. The wire's mu guards it.
type direction struct {
	path   Path
	wire   *wire
	back   *direction // the other way of the same connection
	faults []Fault    // still to come, by At
	rand   *rand.Rand

	written int64         // bytes taken, ever
	cut     int64         // end of the fragment that holds the next byte
	jitter  time.Duration // of that fragment
	hold    time.Duration // what a stall adds to what comes next
	free    time.Time     // when the bandwidth allows the next byte
	last    time.Time     // when the last byte taken arrives: nothing overtakes it

	pieces []piece // taken and not read, except what a permanent stall has swallowed
	size   int     // bytes of Buffer in use
	wanted int     // without a buffer: how many bytes a waiting Read takes
	fin    bool    // the stream has an end
	finAt  time.Time

	ended bool // the writer has ended the stream itself
	lost  bool // after an EOF or Reset fault
	dead  bool // after a permanent stall
	gone  bool // the reader has closed
	reply bool // the reset that answers further input is in flight
}

// A piece holds bytes that arrive together.
type piece struct {
	data []byte
	at   time.Time
	cut  bool // a read ends here
}

func newDirection(w *wire, p Path, r *rand.Rand) direction {
	d := direction{path: p, wire: w, rand: r, faults: slices.Clone(p.Faults)}
	slices.SortStableFunc(d.faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	if p.Buffer == 0 {
		d.path.Buffer = defaultBuffer
	}
	return d
}

// room returns how many bytes take will take.
func (d *direction) room() int {
	switch {
	case !d.dead && (d.lost || d.gone):
		return math.MaxInt // they are never read
	case d.path.Buffer > 0:
		return d.path.Buffer - d.size
	case d.dead:
		return 0
	}
	return d.wanted
}

// want makes room for n bytes on a path without a buffer and reports whether
// that is news: a Read waits for them.
func (d *direction) want(n int) bool {
	if d.path.Buffer > 0 || d.wanted > 0 || len(d.pieces) > 0 {
		return false
	}
	d.wanted = n
	return true
}

// take takes as much of p as there is room for and returns how much that is.
func (d *direction) take(p []byte, now time.Time) (n int) {
	p = bytes.Clone(p[:min(len(p), d.room())])
	if len(p) > 0 {
		d.wanted = 0 // a Read takes from one Write
	}
	for n < len(p) && !d.wire.reset {
		if d.written == d.cut {
			d.nextFragment()
		}
		end := d.cut
		if len(d.faults) > 0 {
			end = min(end, d.faults[0].At)
		}
		chunk := p[n:min(int64(len(p)), int64(n)+end-d.written)]
		n += len(chunk)
		d.written += int64(len(chunk))
		d.carry(chunk, now)
		d.strike(now)
	}
	return n
}

// nextFragment decides the length and the delay of the next fragment.
func (d *direction) nextFragment() {
	length := segment
	switch {
	case d.path.Fragment > 0:
		length = 1 + d.rand.IntN(d.path.Fragment)
	case d.path.Bandwidth > 0:
		length = max(1, min(segment, d.path.Bandwidth/int(time.Second/slice)))
	}
	d.cut += int64(length)
	if d.path.Jitter > 0 {
		d.jitter = time.Duration(d.rand.Int64N(int64(d.path.Jitter) + 1))
	}
}

// carry sends chunk, which is within one fragment, on its way.
func (d *direction) carry(chunk []byte, now time.Time) {
	switch {
	case d.dead:
		d.size += len(chunk)
	case d.lost:
	case d.gone:
		d.answer(d.arrival(len(chunk), now), now)
	default:
		cut := d.path.Fragment > 0 && d.written == d.cut
		d.pieces = append(d.pieces, piece{chunk, d.arrival(len(chunk), now), cut})
		d.size += len(chunk)
	}
}

// arrival returns when the next n bytes arrive; n may be 0, for an end or a
// reset.
func (d *direction) arrival(n int, now time.Time) time.Time {
	leaves := now
	if d.path.Bandwidth > 0 {
		if d.free.After(now) {
			leaves = d.free
		}
		leaves = leaves.Add(time.Duration(n) * time.Second / time.Duration(d.path.Bandwidth))
		d.free = leaves
	}
	at := leaves.Add(max(0, d.path.Latency) + d.jitter)
	if at.Before(d.last) {
		at = d.last
	}
	d.last = at.Add(d.hold)
	d.hold = 0
	return d.last
}

// strike makes the due faults happen.
func (d *direction) strike(now time.Time) {
	for len(d.faults) > 0 && d.faults[0].At <= d.written {
		f := d.faults[0]
		d.faults = d.faults[1:]
		switch {
		case f.Kind == EOF:
			d.end(now)
			d.lost = true
		case f.Kind == Reset:
			d.lost = true
			d.wire.resetAt(d.arrival(0, now), now)
		case f.Kind == Stall && f.For > 0:
			d.hold += f.For
		case f.Kind == Stall:
			d.dead = true
			d.faults = nil // nothing after it is seen
		}
	}
}

// end sends the end of the stream on its way.
func (d *direction) end(now time.Time) {
	if !d.fin && !d.dead && !d.lost {
		d.fin = true
		d.finAt = d.arrival(0, now)
	}
}

// answer sends the reset with which a closed socket answers input.
func (d *direction) answer(at, now time.Time) {
	if !d.reply && !d.back.dead {
		d.reply = true
		d.wire.resetAt(at, now)
	}
}

// arrived reports whether there is something to read.
func (d *direction) arrived(now time.Time) bool {
	return len(d.pieces) > 0 && !d.pieces[0].at.After(now)
}

// over reports whether the end of the stream is all there is left to read.
func (d *direction) over(now time.Time) bool {
	return len(d.pieces) == 0 && d.fin && !d.finAt.After(now)
}

// next returns when there is something to read, or the zero time if unknown.
func (d *direction) next() time.Time {
	switch {
	case len(d.pieces) > 0:
		return d.pieces[0].at
	case d.fin:
		return d.finAt
	}
	return time.Time{}
}

// read moves what has arrived to p and returns how much that is.
func (d *direction) read(p []byte, now time.Time) (n int) {
	for cut := false; n < len(p) && d.arrived(now) && !cut; {
		first := &d.pieces[0]
		m := copy(p[n:], first.data)
		n += m
		d.size -= m
		first.data = first.data[m:]
		if len(first.data) == 0 {
			cut = first.cut
			d.pieces = d.pieces[1:]
		}
	}
	return n
}

// drop loses what is in flight.
func (d *direction) drop(now time.Time) {
	for i, p := range d.pieces {
		if p.at.After(now) {
			d.pieces = d.pieces[:i]
			break
		}
	}
	if d.finAt.After(now) {
		d.fin = false
	}
}
