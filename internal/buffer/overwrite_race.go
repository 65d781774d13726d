//go:build race

package buffer

// overwritten is what the memory of a freed Buffer consists of.
const overwritten = 0xDB

// overwrite copies what it has written on, twice as much each time: to the race
// detector a copy is one access, and a loop one for each byte.
func overwrite(p []byte) {
	if len(p) == 0 {
		return
	}
	p[0] = overwritten
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}
