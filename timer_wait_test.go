package chanio_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestWaitReturnsTheEndOfTheWait(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after func(timer *chanio.Timer, end context.CancelFunc) // one second into the wait of a minute
		want  time.Duration
		value bool // Canceled
	}{
		{"expired", func(*chanio.Timer, context.CancelFunc) {}, time.Minute, false},
		{"canceled", func(timer *chanio.Timer, _ context.CancelFunc) { timer.Cancel() }, time.Second, true},
		{"armed again", func(timer *chanio.Timer, _ context.CancelFunc) { timer.Reset(time.Hour) }, time.Second, true},
		{"by the end of the timer's context", func(_ *chanio.Timer, end context.CancelFunc) { end() }, time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				timer := chanio.NewTimer(ctx)
				start := time.Now()
				timer.Reset(time.Minute)
				time.AfterFunc(time.Second, func() { tc.after(timer, cancel) })
				e, err := timer.Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, chanio.Expiry{Time: start.Add(tc.want), Canceled: tc.value}, e)
			})
		})
	}
}

func TestWaitReturnsAnUnreadValueAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		start := time.Now()
		timer.Reset(time.Second)
		<-time.After(time.Minute)
		e, err := timer.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanio.Expiry{Time: start.Add(time.Second)}, e)
		requireNoValue(t, timer)
	})
}

func TestWaitOnAnUnarmedTimerWaitsUntilItIsArmed(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		time.AfterFunc(time.Second, func() { timer.Reset(time.Second) })
		start := time.Now()
		e, err := timer.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, chanio.Expiry{Time: start.Add(2 * time.Second)}, e)
	})
}

func TestWaitWithAnEndedContextReturnsItsErrorAndTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		timer.Reset(time.Second)
		<-time.After(time.Minute)
		for range 100 {
			_, err := timer.Wait(ctx)
			require.ErrorIs(t, err, context.Canceled)
		}
		require.False(t, (<-timer.C()).Canceled)
	})
}

func TestWaitWhoseContextEndsLeavesTheWaitArmed(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		timer.Reset(time.Minute)
		_, err := timer.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, chanio.Expiry{Time: start.Add(time.Minute)}, <-timer.C())
	})
}
