package chanio

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/buffer"
)

// A message that came alone is kept in memory of its own size: an idle session
// holds none for messages to come.
func TestSmallMessagesOfOneReadShareMemoryOfTheirSize(t *testing.T) {
	lines := "a\n" + "bcd\n" + "ef\n"
	in := inbox{codec: codecOf(Lines{}), limit: 1 << 10}
	buf := buffer.Get(len(lines))
	copy(buf.B, lines)
	require.NoError(t, in.took(window{}, buf, len(lines)))
	require.Equal(t, "a", string(in.message(0)))
	require.Equal(t, len("abcdef"), cap(in.slab))
	require.Equal(t, "bcd", string(in.message(1)))
	require.Equal(t, "ef", string(in.message(2)))
	require.Equal(t, len("abcdef"), len(in.slab), "all of it is used")
	in.free()
}
