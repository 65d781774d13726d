package chanio_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// receivedBatch returns a batch of what arrived in wire form.
func receivedBatch(t *testing.T, f chanio.Framing, wire []byte) *chanio.Batch {
	t.Helper()
	in := chanio.NewInbox(f, 1<<16, false)
	n, err := in.Read(wire, len(wire))
	require.NoError(t, err)
	require.Equal(t, len(wire), n)
	b := in.Batch()
	in.Forget()
	return b
}

// A batch that came in the form in which members get it is published from where it
// is. What they get must not depend on that.
func TestABatchThatCameIsMulticastLikeAnyOther(t *testing.T) {
	messages := [][]byte{{}, []byte("a"), {}, {}, []byte("two words"), []byte("a\r"), bytes.Repeat([]byte("x"), 126),
		bytes.Repeat([]byte("y"), 127), bytes.Repeat([]byte("z"), 128), {}}
	for _, to := range framings() {
		for _, from := range framings() {
			var came, want []byte
			var ends []int
			carried := 0
			for _, m := range messages {
				framed, err := to.framing.AppendFrame(want, m)
				if err != nil {
					continue
				}
				want, ends = framed, append(ends, len(framed))
				if came, err = from.framing.AppendFrame(came, m); err != nil {
					break
				}
				carried++
			}
			if carried < len(ends) {
				continue // one cannot carry what the other can
			}
			t.Run(fmt.Sprintf("%s/from %s", to.name, from.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := testHub(t, &chanio.Options{Framing: to.framing})
					s, peer := joinMem(t, h, &chanio.Options{Framing: to.framing})
					got := readInto(peer)
					b := receivedBatch(t, from.framing, came)
					require.Equal(t, carried, b.Len())

					at, ok := h.TakesWire(b)
					require.Equal(t, to.name == from.name && !chanio.IsUsers(chanio.CodecOf(to.framing)), ok)
					if ok {
						require.Equal(t, ends, at)
					}
					require.NoError(t, h.MulticastBatch(b))
					require.Equal(t, carried, b.Len(), "the caller still owns it")
					b.Release()
					require.EqualValues(t, carried, h.Stats().MessagesReceived)
					require.NoError(t, s.CloseWrite())
					require.Equal(t, want, <-got)
					require.EqualValues(t, carried, s.Stats().MessagesSent)
				})
			})
		}
	}
}

// Bytes that a member's framing would not write itself are framed again.
func TestABatchThatCameInAnotherFormIsFramedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Framing: chanio.Lines{}})
		s, peer := joinMem(t, h, &chanio.Options{Framing: chanio.Lines{}})
		got := readInto(peer)
		crlf := receivedBatch(t, chanio.Lines{}, []byte("a\nb\r\nc\n"))
		longer := receivedBatch(t, chanio.Lines{}, []byte("d\n"))
		longer.Append([]byte("e"))
		for _, b := range []*chanio.Batch{crlf, longer} {
			_, ok := h.TakesWire(b)
			require.False(t, ok)
			require.NoError(t, h.MulticastBatch(b))
		}
		require.NoError(t, s.CloseWrite())
		require.Equal(t, "a\nb\nc\nd\ne\n", string(<-got))
	})
}
