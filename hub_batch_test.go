package chanio_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// linesAndPrefixes returns a hub with a member of each framing, of which the first
// cannot carry a newline.
func linesAndPrefixes(t *testing.T) *chanio.Hub {
	h := testHub(t, &chanio.Options{Framing: chanio.Lines{}, MaxLag: 1000})
	joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
	joinMem(t, h, &chanio.Options{Framing: chanio.LengthPrefix{}})
	return h
}

func TestMulticastBatchReportsTheErrorOfTheMessageThatItNames(t *testing.T) {
	h := linesAndPrefixes(t)
	err := h.MulticastBatch(batchOf("a\nb", string(make([]byte, 2000))))
	require.ErrorContains(t, err, "message 1 of 2")
	require.ErrorIs(t, err, chanio.ErrMessageTooLarge, "the first one is for the other member")
	require.Zero(t, h.Stats().MessagesReceived)
}

func TestAHubCountsTheMessagesOfABatchThatOnlySomeMembersCanCarry(t *testing.T) {
	h := linesAndPrefixes(t)
	require.NoError(t, h.MulticastBatch(batchOf("a\nb", "c")))
	require.EqualValues(t, 2, h.Stats().MessagesReceived)
	require.EqualValues(t, 1, h.Stats().MessagesDropped)
}

func TestMulticastBatchTakesNoBatchThatIsNotWhole(t *testing.T) {
	h := linesAndPrefixes(t)
	require.Error(t, h.MulticastBatch(nil))
	b := batchOf("a")
	b.Overflow() // what was appended since is missing
	require.ErrorIs(t, h.MulticastBatch(b), chanio.ErrMessageTooLarge)
	require.Zero(t, h.Stats().MessagesReceived)
}
