package tlsrecord

import (
	"bytes"

	"example.com/chanio/internal/buffer"
)

// BlockLen is how much a Reader holds at most: two of the longest records and
// part of a third. A larger block is no faster.
const BlockLen = 40 << 10

// A Reader returns the records of a stream, each one whole. It reads into a
// block of recycled memory and copies out of it; nothing else ever sees that
// memory. The zero value is ready. A Reader is not safe for concurrent use.
type Reader struct {
	held  []byte         // what was read and not given out; in block, or a copy of its own
	block *buffer.Buffer // nil if there is none
	left  int            // how much of held may be given out, of a record that is whole
	ended bool           // nothing follows what is held
}

// Read copies to p from the record that is first, and returns how much: 0 if that
// is not whole.
func (r *Reader) Read(p []byte) int {
	if r.left == 0 {
		r.left = r.first()
	}
	n := copy(p, r.held[:r.left])
	r.held = r.held[n:]
	r.left -= n
	return n
}

// first returns the length of the first record, or 0 if it is not whole. Of one
// longer than MaxLen there is only the header to give out, for TLS to refuse it.
func (r *Reader) first() int {
	if r.ended {
		return len(r.held)
	}
	if len(r.held) < HeaderLen {
		return 0
	}
	n := HeaderLen + length(r.held)
	switch {
	case n > MaxLen:
		return HeaderLen
	case n > len(r.held):
		return 0
	}
	return n
}

// Whole reports whether Read has something to give.
func (r *Reader) Whole() bool { return r.left > 0 || r.first() > 0 }

// Part reports whether there is an incomplete record.
func (r *Reader) Part() bool { return len(r.held) > 0 && !r.Whole() }

// Space returns where to read more, which is never empty, for Filled to take in. It
// may be called when Read has nothing to give.
func (r *Reader) Space() []byte {
	if r.block == nil {
		r.block = buffer.Get(BlockLen)
	}
	n := copy(r.block.B, r.held)
	r.held = r.block.B[:n]
	return r.block.B[n:BlockLen]
}

// Filled takes in the first n bytes of Space.
func (r *Reader) Filled(n int) { r.held = r.block.B[:len(r.held)+n] }

// End makes Read give out what is held although it is not whole: the stream has
// ended.
func (r *Reader) End() { r.ended = true }

// Release gives the block back unless it holds a whole record. A partial record
// is kept in memory of its size, so that a peer that never sends the rest does
// not hold a block.
func (r *Reader) Release() {
	if r.block == nil || r.Whole() {
		return
	}
	r.held = bytes.Clone(r.held)
	if len(r.held) == 0 {
		r.held = nil
	}
	r.block.Free()
	r.block = nil
}
