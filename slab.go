package chanio

import "sync"

// copiedMessage is the size up to which what was read is copied to its size:
// somebody who keeps a small message must not keep a slab with it.
const copiedMessage = 8 << 10

// A slab is memory that streams are read into and that larger messages are cut
// from, one behind the other, without a copy. Whoever got it owns it until free
// or take; the messages that were cut from it belong to those who received them,
// and the last of them takes the memory with it.
type slab struct {
	b    []byte // what no message was cut from
	pool *slabPool
}

// A slabPool recycles slabs for all sessions of the process: that is what keeps
// idle ones from holding memory.
type slabPool struct {
	size    int
	rest    int // how much of a slab is worth another read
	pool    sync.Pool
	reserve reserve
}

var (
	largeSlabs = &slabPool{size: blockSize, rest: blockSize / 2}
	// smallSlabs are what sessions hold while they wait for data where they can't
	// wait without (the portable path).
	smallSlabs = &slabPool{size: smallBlockSize, rest: smallBlockSize}
)

func (p *slabPool) get() *slab {
	if s, ok := p.pool.Get().(*slab); ok {
		return s
	}
	p.reserve.took(int64(p.size))
	return &slab{make([]byte, p.size), p}
}

// free gives s back for the next read.
func (s *slab) free() {
	if len(s.b) >= s.pool.rest {
		s.pool.pool.Put(s)
	}
}

// take turns the first n bytes of s into a slice that the caller may give away
// for good, with a capacity of its length; s is given back.
func (s *slab) take(n int) []byte {
	m := s.b[:n:n]
	if n > copiedMessage {
		s.b = s.b[n:]
	} else {
		// append, unlike make, does not clear what is overwritten.
		m = append([]byte(nil), m...)
		m = m[:n:n]
	}
	s.free()
	return m
}
