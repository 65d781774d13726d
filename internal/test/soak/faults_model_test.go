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

// TestASideThatNeverGetsToItsEndStillAsksClose: a side that means to Close in
// the middle may find that the session has ended before, in a timeout. The
// judge must not take the Close that it never called for one that was nil.
func TestASideThatNeverGetsToItsEndStillAsksClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		s := chanio.NewSession(t.Context(), near, nil)
		require.NoError(t, s.Put([]byte("nobody reads this")))
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
