//go:build unix

package soak

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// TestASideThatNeverGetsToItsEndStillCallsClose: a side that means to Close in
// the middle may find that a timeout has already ended the session. The judge
// must not mistake a Close that was never called for one that returned nil.
func TestASideThatNeverGetsToItsEndStillCallsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := chanio.NewSession(t.Context(), near, nil)
		require.NoError(t, s.Put([]byte("the peer never reads this")))
		s.Abort(errPlanned)
		<-s.Done()
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		d := &side{role: role{Way: shut, EndAt: 1, Messages: [lanes]int{2, 0}, MaxSize: 8}, s: s, stop: stop}
		d.run(ctx, 1, 0)
		require.False(t, d.stopped, "the side got to its end")
		require.ErrorIs(t, d.closeErr, errPlanned)
		require.NotZero(t, s.Stats().Undelivered)
	})
}
