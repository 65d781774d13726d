// Package buffer recycles the memory that messages are read into, built in and
// written from.
//
// The memory is shared by all sessions of a process, so an idle session holds
// none.
package buffer

import (
	"math/bits"
	"sync"
)

const (
	// Small holds a small message in most programs.
	Small = 4 << 10
	// Large holds 64 KiB plus TLS overhead.
	Large = 72 << 10
	// MaxPooled is the largest size that is recycled. Larger buffers are rare
	// and left to the garbage collector.
	MaxPooled = 16 << 20

	firstLarger = 128 << 10 // the size of the class after Large; they double from there
	classes     = 10

	// maxSpans bounds the index that a recycled Buffer keeps: 64 KiB of messages of
	// eight bytes.
	maxSpans = 8 << 10
)

// A Span is where a message is in a Buffer.
type Span struct{ Start, End uint32 }

// A Buffer is memory plus the positions of the messages in it. The goroutine that gets it
// owns it until Free.
type Buffer struct {
	B     []byte // all of the memory; its length does not change
	Spans []Span

	class int
}

var pools [classes]sync.Pool

// Get returns a Buffer of at least size bytes with undefined content and no
// Spans. It is at most twice that size, or Large if that is more.
func Get(size int) *Buffer {
	class := classOf(size)
	if class < 0 {
		return Own(size)
	}
	if b, ok := pools[class].Get().(*Buffer); ok {
		return b
	}
	return &Buffer{B: fresh(sizeOf(class)), class: class}
}

// Own returns a Buffer of exactly size bytes that is not recycled, so its
// memory can be given away.
func Own(size int) *Buffer { return &Buffer{B: make([]byte, size), class: -1} }

// Owned reports whether b's memory is not recycled.
func (b *Buffer) Owned() bool { return b.class < 0 }

// Free makes b's memory available to the next Get. In a program built with the
// race detector it is overwritten first, so that a use after Free shows.
func (b *Buffer) Free() {
	overwrite(b.B)
	if b.class < 0 {
		return
	}
	if b.Spans = b.Spans[:0]; cap(b.Spans) > maxSpans {
		b.Spans = nil
	}
	pools[b.class].Put(b)
}

// classOf returns the class of the smallest memory of at least size bytes, or -1
// if that is not recycled.
func classOf(size int) int {
	switch {
	case size <= Small:
		return 0
	case size <= Large:
		return 1
	case size > MaxPooled:
		return -1
	}
	return 2 + max(0, bits.Len(uint(size-1))-bits.Len(firstLarger-1))
}

func sizeOf(class int) int {
	switch class {
	case 0:
		return Small
	case 1:
		return Large
	}
	return firstLarger << (class - 2)
}
