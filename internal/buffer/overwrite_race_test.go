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
