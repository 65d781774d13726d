package datagram

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A Receiver takes what arrives, a batch at a time.
type Receiver interface {
	// Take copies what it wants of ps: their Data is only lent.
	Take(ps []Packet)
	// Deliver is called after Take, when no memory is lent any more, and may wait.
	// It reports whether more is to be received.
	Deliver() bool
}

// ReceiveTo waits for datagrams and hands each batch to r, in the order of their
// arrival, until r wants no more or [Conn.StopReceiving] is called: then it returns
// nil, else the error that ended it.
//
// ICMP refusals are counted, see [Conn.Refused], and end nothing. What the
// kernel could not do for want of memory is tried again, after a growing pause.
func (c *Conn) ReceiveTo(r Receiver) error {
	pause := time.Duration(0)
	for {
		b, err := c.engine.read()
		switch {
		case err == nil:
			pause = 0
			r.Take(b.packets)
			b.free()
			if !r.Deliver() {
				return nil
			}
		case undelivered(err):
			c.refused.Add(1)
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case passes(err):
			pause = min(max(2*pause, readPauseMin), readPauseMax)
			c.rest(pause)
		default:
			return bare(err)
		}
	}
}

// Receive is ReceiveTo with a function that gets each batch, in memory of its own: the
// slice is valid during the call only, the packets' Data is the receiver's.
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

// Copy returns ps with Data of their own, in the memory of the slice dst.
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

// rest waits for d, or until nothing is to be received any more.
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
	memory  interface{ free() } // that their Data is in
}

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch() *batch { return batches.Get().(*batch) }

// free gives the batch back, and the memory of its packets' Data.
func (b *batch) free() {
	clear(b.packets)
	b.packets = b.packets[:0]
	if b.memory != nil {
		b.memory.free()
		b.memory = nil
	}
	batches.Put(b)
}

// Payloads up to carveLimit are carved from slabs of at most slabSize bytes, so
// that a flood of small datagrams does not cost an allocation each, and whoever
// keeps one of them keeps no more than a slab.
const (
	carveLimit = 1 << 10
	slabSize   = 4 << 10
)

// A carver copies the payloads of one batch.
type carver struct {
	small int    // bytes in the small payloads that are still to come
	slab  []byte // what is left of the slab
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
