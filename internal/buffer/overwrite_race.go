//go:build race

package buffer

import "unsafe"

const (
	// overwritten is the byte that fills the memory of a freed Buffer.
	overwritten = 0xDB
	// blank is eight bytes of that.
	blank = overwritten * 0x0101010101010101
	// pageLen is the unit in which overwrite skips memory that was not used.
	pageLen = 4 << 10
)

// A page is pageLen bytes, as words.
type page [pageLen / 8]uint64

// fresh returns new memory of size bytes as overwrite leaves it, so that the
// first Free passes over what was not used, too. It is not instrumented: no
// other goroutine has the memory yet.
//
//go:norace
func fresh(size int) []byte {
	p := make([]byte, size)
	for rest := p; len(rest) >= pageLen; rest = rest[pageLen:] {
		words := (*page)(unsafe.Pointer(unsafe.SliceData(rest)))
		for i := range words {
			words[i] = blank
		}
	}
	return p
}

// overwrite overwrites the pages of p that were used. To the race detector, which is
// what this takes its time for, a copy is one access.
func overwrite(p []byte) {
	for ; len(p) >= pageLen; p = p[pageLen:] {
		if !isBlank(p) {
			wipe(p[:pageLen])
		}
	}
	if len(p) > 0 {
		wipe(p)
	}
}

// wipe copies what it has written on, twice as much each time: a loop would be one
// access for each byte.
func wipe(p []byte) {
	p[0] = overwritten
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// isBlank reports whether the first page of p is overwritten. It is not instrumented:
// a late user of the page has written to it, so wipe still touches it.
//
//go:norace
func isBlank(p []byte) bool {
	words := (*page)(unsafe.Pointer(unsafe.SliceData(p)))
	for i := range words {
		if words[i] != blank {
			return false
		}
	}
	return true
}
