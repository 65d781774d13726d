//go:build race

package buffer

// overwritten is what the memory of a freed Buffer consists of.
const overwritten = 0xDB

func overwrite(p []byte) {
	for i := range p {
		p[i] = overwritten
	}
}
