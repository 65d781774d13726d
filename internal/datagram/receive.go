package datagram

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A Receiver accepts what arrives, a batch at a time.
type Receiver interface {
	// Take copies what it wants of ps: their Data is only lent.
	Take(ps []Packet)
	// Deliver is called after Take, when no memory is lent any more, and may
	// block. It reports whether to go on receiving.
	Deliver() bool
}

// ReceiveTo waits for datagrams and hands each batch to r, in order of arrival.
// It returns nil once r wants no more or [Conn.StopReceiving] is called, else
// the error that ended it.
//
// ICMP refusals are counted, see [Conn.Refused], and do not end it. If the
// kernel lacks memory, ReceiveTo retries after a growing pause.
func (c *Conn) ReceiveTo(r Receiver) error {
	pause := time.Duration(0)
	for {
		b, err := c.engine.read()
		switch {
		case err == nil && len(b.packets) == 0: // all were useless
			b.free()
		case err == nil:
			pause = 0
			r.Take(b.packets)
			b.free()
			if !r.Deliver() {
				return nil
			}
		case undelivered(err):
			c.refused.Add(1)
		case errors.Is(err, os.ErrDeadlineExceeded) && c.stops():
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded), passes(err):
			pause = min(max(2*pause, readPauseMin), readPauseMax)
			c.rest(pause)
		default:
			return bare(err)
		}
	}
}

// stops reports whether StopReceiving was called. If not, a deadline has passed that
// is not the Conn's, and stops removes it.
func (c *Conn) stops() bool {
	if c.isStopped() {
		return true
	}
	c.sock.SetReadDeadline(time.Time{})
	return c.isStopped() // its deadline may have been the one removed
}

func (c *Conn) isStopped() bool {
	select {
	case <-c.stopped:
		return true
	default:
		return false
	}
}

// Receive is ReceiveTo with a function that gets each batch. The slice is valid
// only during the call; the packets' Data is a copy that belongs to the
// receiver.
func (c *Conn) Receive(deliver func([]Packet) bool) error {
	return c.ReceiveTo(&copier{deliver: deliver})
}

// A copier is the Receiver of Receive.
type copier struct {
	deliver func([]Packet) bool
	packets []Packet
}

func (r *copier) Take(ps []Packet) { r.packets = Copy(r.packets, ps) }

func (r *copier) Deliver() bool {
	defer clear(r.packets)
	return r.deliver(r.packets)
}

// Copy returns ps with copied Data, in the memory of the slice dst.
func Copy(dst, ps []Packet) []Packet {
	var carve carver
	for i := range ps {
		carve.expect(len(ps[i].Data))
	}
	dst = append(dst[:0], ps...)
	for i := range dst {
		dst[i].Data = carve.copy(dst[i].Data)
	}
	return dst
}

const (
	readPauseMin = 5 * time.Millisecond
	readPauseMax = time.Second
)

// rest waits for d, or until receiving stops.
func (c *Conn) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.stopped:
	}
}

// A batch is the packets of one system call, in pooled memory.
type batch struct {
	packets []Packet
	memory  interface{ free() } // holds their Data
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch() *batch { return batches.Get().(*batch) }

// free returns the batch and the memory of its packets' Data to their pools.
func (b *batch) free() {
	clear(b.packets)
	b.packets = b.packets[:0]
	if b.memory != nil {
		b.memory.free()
		b.memory = nil
	}
	batches.Put(b)
}

// Payloads up to carveLimit are carved from slabs of at most slabSize bytes. A
// flood of small datagrams thus does not cost an allocation each, and keeping
// one of them retains no more than a slab.
const (
	carveLimit = 1 << 10
	slabSize   = 4 << 10
)

// A carver copies the payloads of one batch.
type carver struct {
	small int    // bytes in the small payloads yet to come
	slab  []byte // the rest of the slab
}

// expect announces a payload of n bytes.
func (c *carver) expect(n int) {
	if n <= carveLimit {
		c.small += n
	}
}

// copy returns a copy of p, which was announced.
func (c *carver) copy(p []byte) []byte {
	n := len(p)
	switch {
	case n == 0:
		return []byte{}
	case n > carveLimit:
		own := make([]byte, n)
		copy(own, p)
		return own
	}
	if len(c.slab) < n {
		c.slab = make([]byte, min(c.small, slabSize))
	}
	c.small -= n
	own := c.slab[:n:n]
	c.slab = c.slab[n:]
	copy(own, p)
	return own
}
