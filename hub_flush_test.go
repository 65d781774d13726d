package chanio_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestFlushWaitsUntilEveryMemberHasWrittenWhatWasPublishedBefore(t *testing.T) {
	eachQueue(t, func(t *testing.T, o chanio.Options) {
		h := testHub(t, &o)
		require.NoError(t, h.Flush(t.Context()), "an empty hub")
		_, a := joinMem(t, h, &o)
		_, b := joinMem(t, h, &o)
		gone, _ := joinMem(t, h, &o)
		left, c := joinMem(t, h, &o)
		require.NoError(t, h.Flush(t.Context()), "nothing was published")
		require.NoError(t, h.Multicast([]byte("before")))
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte(" too")))
		h.Leave(left)

		const flushes = 3
		flushed := make(chan error, flushes)
		for range flushes {
			go func() { flushed <- h.Flush(t.Context()) }()
		}
		synctest.Wait()
		require.NoError(t, h.Multicast([]byte(" and after")))
		joinMem(t, h, &o) // Flush does not wait for a member that joins now
		for _, step := range []func(){
			func() { read(t, a, "before too") },
			func() { read(t, b, "before too") },
			func() { read(t, c, "before too") },
			func() { gone.Abort(nil) },
		} {
			synctest.Wait()
			require.Empty(t, flushed)
			step()
		}
		for range flushes {
			require.NoError(t, <-flushed)
		}
		requireNoMarks(t, h)
	})
}

// requireNoMarks requires that nothing of a Flush is left.
func requireNoMarks(t *testing.T, h *chanio.Hub) {
	t.Helper()
	require.Zero(t, h.Marks())
}

func TestAHubsFlushReturnsTheErrorOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, nil)
		joinMem(t, h, nil)
		require.NoError(t, h.Multicast([]byte("x")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, h.Flush(ctx), context.DeadlineExceeded)
		requireNoMarks(t, h)
	})
}

func TestASessionsFlushDoesNotWaitForWhatItsHubHasDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := testHub(t, &chanio.Options{Lag: chanio.LagDrop})
		s, _ := joinMem(t, h, nil)
		s.Send() // starts its writer
		synctest.Wait()
		_, _, _, wake := h.BeginPublish([]byte("dropped"))
		h.Lag(s)()
		flushed := make(chan error, 1)
		go func() { flushed <- s.Flush(t.Context()) }()
		synctest.Wait() // the writer does not know of the message yet
		require.Empty(t, flushed)
		wake()
		synctest.Wait()
		require.Len(t, flushed, 1)
		require.NoError(t, <-flushed)
	})
}
