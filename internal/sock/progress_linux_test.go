package sock

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A write may add just what the peer has taken, and what is left is then the same
// each time that a timer looks.
func TestWhatThePeerTookIsProgressThoughAsMuchIsLeft(t *testing.T) {
	near, _ := tcpPair(t)
	socket := Of(near)
	var seen []Progress
	for range 2 {
		_, err := io.WriteString(near, "x")
		require.NoError(t, err)
		require.Eventually(t, func() bool { return socket.Progress().Left == 0 }, time.Minute, time.Millisecond)
		seen = append(seen, socket.Progress())
	}
	require.Equal(t, seen[0].Left, seen[1].Left)
	require.NotEqual(t, seen[0].Acked, seen[1].Acked)
}
