package chanio

import "sync"

// blockSize is how much one read takes at most, and how many bytes of small
// messages one write carries.
const blockSize = 64 << 10

// recordBlockSize is room for blockSize bytes as TLS records, each of which adds
// some 20 to 100: what goes into one write without TLS shall with it.
const recordBlockSize = blockSize + 8<<10

// inputBlockSize is room for two full TLS records, of any version, and for what
// a bytes.Buffer wants to have free beside them: within it a tls.Conn's input
// buffer never grows. More than two at a time are no faster.
const inputBlockSize = 40 << 10

// smallBlockSize is the buffer that a session holds while it waits for data
// where it can't wait without one (the portable path).
const smallBlockSize = 4 << 10

// A block is a buffer of a pool. Whoever got it owns it until free or take.
type block struct {
	b    []byte
	pool *blockPool
}

// A blockPool recycles blocks of one size.
type blockPool struct {
	size int
	pool sync.Pool
}

// The pools are shared by all sessions of the process: that is what keeps idle
// ones from holding buffers.
var (
	largeBlocks  = &blockPool{size: blockSize}
	recordBlocks = &blockPool{size: recordBlockSize}
	inputBlocks  = &blockPool{size: inputBlockSize}
	smallBlocks  = &blockPool{size: smallBlockSize}
)

func (p *blockPool) get() *block {
	if b, ok := p.pool.Get().(*block); ok {
		return b
	}
	return &block{make([]byte, p.size), p}
}

// free gives b back to its pool.
func (b *block) free() { b.pool.pool.Put(b) }

// take turns the first n bytes of b into a slice that the caller may give away
// for good, with a capacity of its length; b is the pool's again, or gone.
//
// A large part is handed over as it is. A smaller one is copied to its size:
// somebody who keeps a small message must not keep a large buffer with it.
func (b *block) take(n int) []byte {
	if n > len(b.b)/2 {
		return b.b[:n:n]
	}
	// append, unlike make, does not clear what is overwritten.
	m := append([]byte(nil), b.b[:n]...)
	b.free()
	return m[:n:n]
}
