package datagram

import (
	"errors"
	"os"
	"sync"
	"time"
)

// Receive waits for datagrams and hands each batch to deliver, in the order of
// their arrival, until deliver returns false or [Conn.StopReceiving] is called:
// then it returns nil, else the error that ended it. The slice that deliver
// gets is valid during the call only; the packets' Data is the receiver's.
//
// ICMP refusals are counted, see [Conn.Refused], and end nothing. What the
// kernel could not do for want of memory is tried again, after a growing pause.
func (c *Conn) Receive(deliver func([]Packet) bool) error {
	pause := time.Duration(0)
	for {
		b, err := c.engine.read()
		switch {
		case err == nil:
			pause = 0
			ok := deliver(b.packets)
			b.free()
			if !ok {
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
type batch struct{ packets []Packet }

var batches = sync.Pool{New: func() any { return new(batch) }}

func newBatch() *batch { return batches.Get().(*batch) }

// free gives the batch back. Its packets' Data is not the batch's.
func (b *batch) free() {
	clear(b.packets)
	b.packets = b.packets[:0]
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
