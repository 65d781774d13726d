//go:build race

package buffer

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFreedMemoryIsOverwritten(t *testing.T) {
	b := Get(Small)
	kept := b.B[:100]
	copy(kept, "hello")
	b.Free()
	require.Equal(t, bytes.Repeat([]byte{overwritten}, 100), kept)
}

// Pages that were not used are skipped, also those that never were.
func TestEveryByteThatWasUsedIsOverwritten(t *testing.T) {
	for _, size := range []int{1, 7, 100, Small, Small + 9, Large, firstLarger} {
		for _, get := range []func(int) *Buffer{Get, Own} {
			for _, at := range []int{0, size / 2, size - 1} {
				b := get(size)
				b.B[at] = 1
				kept := b.B
				b.Free()
				require.Equal(t, bytes.Repeat([]byte{overwritten}, len(kept)), kept, "%d of %d", at, size)
			}
		}
	}
}
