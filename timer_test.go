package chanio_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// inBubble runs test in a synctest bubble with a timer that ends with it.
func inBubble(t *testing.T, test func(t *testing.T, timer *chanio.Timer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, chanio.NewTimer(t.Context())) })
}

// requireNoValue fails if there is a value in C, or C is closed, once
// everything that could put one there now has done so.
func requireNoValue(t *testing.T, timer *chanio.Timer) {
	t.Helper()
	synctest.Wait()
	select {
	case e, ok := <-timer.C():
		require.Failf(t, "a value too many", "%v %v", e, ok)
	default:
	}
}

func TestTimerExpiresOnceWhenItsTimeHasCome(t *testing.T) {
	for _, tc := range []struct {
		name string
		arm  func(timer *chanio.Timer)
		want time.Duration
	}{
		{"after a duration", func(timer *chanio.Timer) { timer.Reset(time.Minute) }, time.Minute},
		{"after no duration", func(timer *chanio.Timer) { timer.Reset(0) }, 0},
		{"after a negative duration", func(timer *chanio.Timer) { timer.Reset(-time.Hour) }, 0},
		{"after the most negative duration", func(timer *chanio.Timer) { timer.Reset(math.MinInt64) }, 0},
		{"at a time computed from now", func(timer *chanio.Timer) { timer.ResetAt(time.Now().Add(time.Minute)) }, time.Minute},
		{"at a reading of the clock", func(timer *chanio.Timer) { timer.ResetAt(time.Now().Add(time.Minute).Round(0)) }, time.Minute},
		{"at a time in another zone", func(timer *chanio.Timer) {
			timer.ResetAt(time.Now().Add(time.Minute).In(time.FixedZone("", 3600)))
		}, time.Minute},
		{"at a time that has passed", func(timer *chanio.Timer) { timer.ResetAt(time.Now().Add(-time.Minute)) }, 0},
		{"at the zero time", func(timer *chanio.Timer) { timer.ResetAt(time.Time{}) }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *chanio.Timer) {
				start := time.Now()
				tc.arm(timer)
				e := <-timer.C()
				assert.Equal(t, tc.want, time.Since(start))
				assert.Equal(t, chanio.Expiry{Time: time.Now()}, e)
				<-time.After(time.Hour)
				requireNoValue(t, timer)
			})
		})
	}
}

func TestTimerOfTheFarthestFutureDoesNotExpire(t *testing.T) {
	for _, tc := range []struct {
		name string
		arm  func(timer *chanio.Timer)
	}{
		{"Reset", func(timer *chanio.Timer) { timer.Reset(math.MaxInt64) }},
		{"ResetAt", func(timer *chanio.Timer) { timer.ResetAt(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)) }},
		{"Every", func(timer *chanio.Timer) { timer.Every(math.MaxInt64) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *chanio.Timer) {
				tc.arm(timer)
				<-time.After(100 * 365 * 24 * time.Hour)
				requireNoValue(t, timer)
				require.True(t, timer.Cancel())
			})
		})
	}
}

func TestDeadlineIsTheTimeOfResetAtHoweverFar(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		for _, at := range []time.Time{
			time.Now().Add(time.Minute),
			time.Now().AddDate(290, 0, 0),
			time.Now().AddDate(300, 0, 0), // past a time.Duration
			time.Date(9999, 12, 31, 23, 59, 59, 999, time.UTC),
		} {
			timer.ResetAt(at)
			deadline, armed := timer.Deadline()
			require.True(t, armed)
			require.True(t, deadline.Equal(at), "%v is not %v", deadline, at)
		}
	})
}

func TestEveryExpiresInRhythmUntilCanceled(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		start := time.Now()
		timer.Every(time.Second)
		for n := range 3 {
			e := <-timer.C()
			require.Equal(t, chanio.Expiry{Time: start.Add(time.Duration(n+1) * time.Second)}, e)
		}
		require.True(t, timer.Cancel())
		require.True(t, (<-timer.C()).Canceled)
		<-time.After(time.Minute)
		requireNoValue(t, timer)
	})
}

func TestEveryKeepsOnlyTheNewestTickForASlowReceiver(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		start := time.Now()
		timer.Every(time.Second)
		<-time.After(5*time.Second + time.Second/2)
		require.Equal(t, start.Add(5*time.Second), (<-timer.C()).Time)
		require.Equal(t, start.Add(6*time.Second), (<-timer.C()).Time, "the rhythm is kept")
	})
}

func TestEveryOfNoPeriodArmsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		timer.Every(0)
		requireNoValue(t, timer)
		timer.Reset(time.Hour)
		timer.Every(-time.Second)
		require.True(t, (<-timer.C()).Canceled)
		_, armed := timer.Deadline()
		require.False(t, armed)
	})
}

func TestTheEndOfTheContextCancelsTheWaitAndClosesC(t *testing.T) {
	for _, tc := range []struct {
		name string
		arm  func(timer *chanio.Timer)
		want bool // that there is a canceled wait
	}{
		{"armed", func(timer *chanio.Timer) { timer.Reset(time.Hour) }, true},
		{"periodic", func(timer *chanio.Timer) { timer.Every(time.Hour) }, true},
		{"never armed", func(*chanio.Timer) {}, false},
		{"canceled and received", func(timer *chanio.Timer) { timer.Reset(time.Hour); timer.Cancel(); <-timer.C() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				timer := chanio.NewTimer(ctx)
				tc.arm(timer)
				cancel()
				if tc.want {
					e, ok := <-timer.C()
					require.True(t, ok)
					require.True(t, e.Canceled)
				}
				_, ok := <-timer.C()
				require.False(t, ok, "C is closed")
			})
		})
	}
}

func TestATimerNeverFiresAfterItsContext(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(t *testing.T, timer *chanio.Timer)
	}{
		{"Reset", func(t *testing.T, timer *chanio.Timer) { timer.Reset(0) }},
		{"ResetAt", func(t *testing.T, timer *chanio.Timer) { timer.ResetAt(time.Now()) }},
		{"Every", func(t *testing.T, timer *chanio.Timer) { timer.Every(time.Second) }},
		{"Every of no period", func(t *testing.T, timer *chanio.Timer) { timer.Every(0) }},
		{"Cancel", func(t *testing.T, timer *chanio.Timer) { require.False(t, timer.Cancel()) }},
		{"Wait", func(t *testing.T, timer *chanio.Timer) {
			_, err := timer.Wait(t.Context())
			require.ErrorIs(t, err, chanio.ErrClosed)
			require.EqualError(t, err, "chanio: wait timer: closed")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				timer := chanio.NewTimer(ctx)
				tc.call(t, timer)
				<-time.After(time.Minute)
				_, ok := <-timer.C()
				require.False(t, ok)
				_, armed := timer.Deadline()
				require.False(t, armed)
			})
		})
	}
}

func TestDeadlineIsTheNextExpiryOfAnArmedTimer(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		requireDeadline := func(want time.Time) {
			t.Helper()
			at, armed := timer.Deadline()
			require.True(t, armed)
			require.True(t, want.Equal(at), "%v, not %v", at, want)
		}
		requireNone := func() {
			t.Helper()
			at, armed := timer.Deadline()
			require.False(t, armed)
			require.Zero(t, at)
		}
		requireNone()
		start := time.Now()
		timer.Reset(time.Second)
		requireDeadline(start.Add(time.Second))
		<-timer.C()
		requireNone()

		at := time.Now().Add(time.Hour).Round(0)
		timer.ResetAt(at)
		requireDeadline(at)
		timer.Cancel()
		<-timer.C()
		requireNone()

		start = time.Now()
		timer.Every(time.Minute)
		requireDeadline(start.Add(time.Minute))
		<-timer.C()
		requireDeadline(start.Add(2 * time.Minute))
	})
}

func TestArmedTimersTakeNoGoroutines(t *testing.T) {
	const count = 100_000
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		before := runtime.NumGoroutine()
		requireFew := func() {
			t.Helper()
			synctest.Wait()
			// The runtime counts some goroutines for a moment after they have
			// returned.
			require.Less(t, runtime.NumGoroutine(), before+count/100)
		}
		timers := make([]*chanio.Timer, count)
		for i := range timers {
			timers[i] = chanio.NewTimer(ctx)
			timers[i].Reset(time.Hour + time.Duration(i%2)*time.Hour)
		}
		requireFew()
		<-time.After(90 * time.Minute) // half of them have expired
		requireFew()
		cancel()
		for i, timer := range timers {
			require.Equal(t, i%2 == 1, (<-timer.C()).Canceled)
		}
		requireFew()
	})
}

func TestTimerIsSafeForConcurrentUse(t *testing.T) {
	// This test can't run in a bubble: where many timers fire in one, Go 1.26's
	// race detector loses count of its stack, and crashes.
	ctx, cancel := context.WithCancel(t.Context())
	timer := chanio.NewTimer(ctx)
	var users, receivers sync.WaitGroup
	for range 4 {
		users.Go(func() {
			pause := chanio.NewTimer(ctx)
			for range 300 {
				timer.Reset(time.Millisecond)
				timer.Deadline()
				timer.Every(time.Microsecond)
				pause.Reset(time.Microsecond)
				<-pause.C()
				timer.Cancel()
				timer.ResetAt(time.Now())
			}
		})
		receivers.Go(func() {
			for range timer.C() {
			}
		})
		receivers.Go(func() {
			for {
				if _, err := timer.Wait(t.Context()); errors.Is(err, chanio.ErrClosed) {
					return
				}
			}
		})
	}
	users.Wait()
	cancel()
	receivers.Wait()
}
