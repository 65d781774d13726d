package sock

import (
	"io"
	"syscall"
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

func TestTwoEndsInOrderAreNoFailure(t *testing.T) {
	near, far := tcpPair(t)
	socket := Of(near)
	_, err := io.WriteString(far, "unread")
	require.NoError(t, err)
	require.NoError(t, near.CloseWrite())
	_, err = far.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, far.Close())
	require.Eventually(t, func() bool { return socket.End().Gone }, time.Minute, time.Millisecond)
	require.Equal(t, End{Ended: true, Gone: true}, socket.End())
}

func TestAResetThatCutsOffWhatWasSentIsAFailureWhoeverWasTold(t *testing.T) {
	near, far := tcpPair(t)
	socket := Of(near)
	_, err := io.WriteString(near, "not read")
	require.NoError(t, err)
	require.NoError(t, near.CloseWrite())
	require.NoError(t, far.Close()) // with unread input: a reset
	require.Eventually(t, func() bool { return socket.End().Failed }, time.Minute, time.Millisecond)
	_, err = near.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Equal(t, socket.Progress().Left > 0, socket.End().Failed)
}
