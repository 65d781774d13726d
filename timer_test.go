package chanio

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
)

// inBubble runs test in a synctest bubble with a timer that ends with it.
func inBubble(t *testing.T, test func(t *testing.T, timer *Timer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, NewTimer(t.Context())) })
}

// requireNoValue fails if there is a value in C, or C is closed, when all that
// could put one there now has done so.
func requireNoValue(t *testing.T, timer *Timer) {
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
		arm  func(timer *Timer)
		want time.Duration
	}{
		{"after a duration", func(timer *Timer) { timer.Reset(time.Minute) }, time.Minute},
		{"after no duration", func(timer *Timer) { timer.Reset(0) }, 0},
		{"after a negative duration", func(timer *Timer) { timer.Reset(-time.Hour) }, 0},
		{"after the most negative duration", func(timer *Timer) { timer.Reset(math.MinInt64) }, 0},
		{"at a time computed from now", func(timer *Timer) { timer.ResetAt(time.Now().Add(time.Minute)) }, time.Minute},
		{"at a reading of the clock", func(timer *Timer) { timer.ResetAt(time.Now().Add(time.Minute).Round(0)) }, time.Minute},
		{"at a time in another zone", func(timer *Timer) {
			timer.ResetAt(time.Now().Add(time.Minute).In(time.FixedZone("", 3600)))
		}, time.Minute},
		{"at a time that has passed", func(timer *Timer) { timer.ResetAt(time.Now().Add(-time.Minute)) }, 0},
		{"at the zero time", func(timer *Timer) { timer.ResetAt(time.Time{}) }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *Timer) {
				start := time.Now()
				tc.arm(timer)
				e := <-timer.C()
				assert.Equal(t, tc.want, time.Since(start))
				assert.Equal(t, Expiry{Time: time.Now()}, e)
				<-time.After(time.Hour)
				requireNoValue(t, timer)
			})
		})
	}
}

func TestTimerOfTheFarthestFutureDoesNotExpire(t *testing.T) {
	for _, tc := range []struct {
		name string
		arm  func(timer *Timer)
	}{
		{"Reset", func(timer *Timer) { timer.Reset(math.MaxInt64) }},
		{"ResetAt", func(timer *Timer) { timer.ResetAt(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)) }},
		{"Every", func(timer *Timer) { timer.Every(math.MaxInt64) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *Timer) {
				tc.arm(timer)
				<-time.After(100 * 365 * 24 * time.Hour)
				requireNoValue(t, timer)
				require.True(t, timer.Cancel())
			})
		})
	}
}

func TestDeadlineIsTheTimeOfResetAtHoweverFar(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
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
	inBubble(t, func(t *testing.T, timer *Timer) {
		start := time.Now()
		timer.Every(time.Second)
		for n := range 3 {
			e := <-timer.C()
			require.Equal(t, Expiry{Time: start.Add(time.Duration(n+1) * time.Second)}, e)
		}
		require.True(t, timer.Cancel())
		require.True(t, (<-timer.C()).Canceled)
		<-time.After(time.Minute)
		requireNoValue(t, timer)
	})
}

func TestEveryKeepsOnlyTheNewestTickForASlowReceiver(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		start := time.Now()
		timer.Every(time.Second)
		<-time.After(5*time.Second + time.Second/2)
		require.Equal(t, start.Add(5*time.Second), (<-timer.C()).Time)
		require.Equal(t, start.Add(6*time.Second), (<-timer.C()).Time, "the rhythm is kept")
	})
}

func TestEveryDropsTheTicksThatAreAlreadyPast(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		start := time.Now()
		timer.Every(time.Second)
		// A program that got no processor for a while: the alarm goes off 3.5 s late.
		timer.mu.Lock()
		timer.deadline = timer.deadline.Add(-3500 * time.Millisecond)
		timer.mu.Unlock()
		require.Equal(t, start.Add(time.Second), (<-timer.C()).Time)
		next, ok := timer.Deadline()
		require.True(t, ok)
		require.Equal(t, start.Add(1500*time.Millisecond), next)
		require.Equal(t, next, (<-timer.C()).Time)
	})
}

func TestEveryOfNoPeriodArmsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		timer.Every(0)
		requireNoValue(t, timer)
		timer.Reset(time.Hour)
		timer.Every(-time.Second)
		require.True(t, (<-timer.C()).Canceled)
		_, armed := timer.Deadline()
		require.False(t, armed)
	})
}

func TestArmingAnArmedTimerCancelsTheEarlierWaitOnce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rearm func(timer *Timer)
	}{
		{"Reset", func(timer *Timer) { timer.Reset(time.Minute) }},
		{"ResetAt", func(timer *Timer) { timer.ResetAt(time.Now().Add(time.Minute)) }},
		{"Every", func(timer *Timer) { timer.Every(time.Minute) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *Timer) {
				timer.Reset(time.Second)
				rearmed := time.Now()
				tc.rearm(timer)
				require.Equal(t, Expiry{Time: rearmed, Canceled: true}, <-timer.C())
				requireNoValue(t, timer)
				require.Equal(t, Expiry{Time: rearmed.Add(time.Minute)}, <-timer.C())
				requireNoValue(t, timer)
			})
		})
	}
}

func TestArmingAnExpiredTimerCancelsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		for range 3 {
			timer.Reset(time.Second)
			require.False(t, (<-timer.C()).Canceled)
		}
	})
}

func TestAnExpiryOfAnEarlierWaitIsNeverSeenAfterACall(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(timer *Timer)
		next time.Duration // when the next value comes; 0: none does
	}{
		{"Reset", func(timer *Timer) { timer.Reset(time.Hour) }, time.Hour},
		{"ResetAt", func(timer *Timer) { timer.ResetAt(time.Now().Add(time.Hour)) }, time.Hour},
		{"Every", func(timer *Timer) { timer.Every(time.Hour) }, time.Hour},
		{"Every of no period", func(timer *Timer) { timer.Every(0) }, 0},
		{"Cancel", func(timer *Timer) { timer.Cancel() }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *Timer) {
				timer.Reset(time.Millisecond)
				<-time.After(20 * time.Millisecond)
				called := time.Now()
				tc.call(timer)
				requireNoValue(t, timer)
				if tc.next > 0 {
					e, err := timer.Wait(t.Context())
					require.NoError(t, err)
					require.Equal(t, Expiry{Time: called.Add(tc.next)}, e)
				}
			})
		})
	}
}

func TestATickOfAnEarlierRhythmIsNeverSeenAfterACall(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		timer.Every(time.Second)
		<-time.After(5*time.Second + 500*time.Millisecond)
		timer.Reset(time.Minute)
		require.True(t, (<-timer.C()).Canceled, "the wait for the next tick")
		requireNoValue(t, timer)
	})
}

func TestACanceledWaitIsStillToldAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		timer.Reset(time.Second)
		canceled := time.Now()
		timer.Cancel()
		timer.Cancel()
		timer.Reset(time.Minute)
		require.Equal(t, Expiry{Time: canceled, Canceled: true}, <-timer.C())
		require.False(t, (<-timer.C()).Canceled)
	})
}

func TestAnUnreadValueIsReplacedByTheNewest(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		timer.Reset(time.Second)
		<-time.After(time.Minute)
		timer.Reset(time.Second)
		timer.Cancel()
		require.Equal(t, Expiry{Time: time.Now(), Canceled: true}, <-timer.C())
		requireNoValue(t, timer)
	})
}

func TestCancelReportsWhetherAWaitWasArmed(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		require.False(t, timer.Cancel(), "never armed")
		requireNoValue(t, timer)

		timer.Reset(time.Second)
		require.True(t, timer.Cancel())
		require.False(t, timer.Cancel(), "canceled already")
		require.True(t, (<-timer.C()).Canceled)
		<-time.After(time.Minute)
		requireNoValue(t, timer)

		timer.Reset(time.Second)
		<-time.After(time.Minute)
		require.False(t, timer.Cancel(), "expired already")
		requireNoValue(t, timer)
	})
}

func TestCancelAtTheInstantOfTheExpiryYieldsNoExpiry(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		for round := range 2000 {
			canceled := make(chan bool, 1)
			cancel := func() { canceled <- timer.Cancel() }
			// Whichever timer was set first is the first to go off.
			if round%2 == 0 {
				timer.Reset(time.Second)
				time.AfterFunc(time.Second, cancel)
			} else {
				time.AfterFunc(time.Second, cancel)
				timer.Reset(time.Second)
			}
			if <-canceled {
				require.True(t, (<-timer.C()).Canceled)
			}
			requireNoValue(t, timer)
		}
	})
}

func TestResetAtTheInstantOfTheExpiryEndsBothWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		for round := range 2000 {
			values := make(chan Expiry, 3)
			go func() {
				for range 2 {
					values <- <-timer.C()
				}
				close(values)
			}()
			// The receiver takes the end of the first wait before the second
			// begins, unless that ended it.
			start, reset := time.Now(), func() { timer.Reset(time.Second) }
			if round%2 == 0 {
				timer.Reset(time.Second)
				time.AfterFunc(time.Second, reset)
			} else {
				time.AfterFunc(time.Second, reset)
				timer.Reset(time.Second)
			}
			require.Equal(t, start.Add(time.Second), (<-values).Time)
			require.Equal(t, Expiry{Time: start.Add(2 * time.Second)}, <-values)
			requireNoValue(t, timer)
		}
	})
}

func TestTheEndOfTheContextCancelsTheWaitAndClosesC(t *testing.T) {
	for _, tc := range []struct {
		name string
		arm  func(timer *Timer)
		want bool // that there is a canceled wait
	}{
		{"armed", func(timer *Timer) { timer.Reset(time.Hour) }, true},
		{"periodic", func(timer *Timer) { timer.Every(time.Hour) }, true},
		{"never armed", func(*Timer) {}, false},
		{"canceled and received", func(timer *Timer) { timer.Reset(time.Hour); timer.Cancel(); <-timer.C() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				timer := NewTimer(ctx)
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

func TestATimerWhoseContextHasEndedStaysStill(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(t *testing.T, timer *Timer)
	}{
		{"Reset", func(t *testing.T, timer *Timer) { timer.Reset(0) }},
		{"ResetAt", func(t *testing.T, timer *Timer) { timer.ResetAt(time.Now()) }},
		{"Every", func(t *testing.T, timer *Timer) { timer.Every(time.Second) }},
		{"Every of no period", func(t *testing.T, timer *Timer) { timer.Every(0) }},
		{"Cancel", func(t *testing.T, timer *Timer) { require.False(t, timer.Cancel()) }},
		{"Wait", func(t *testing.T, timer *Timer) {
			_, err := timer.Wait(t.Context())
			require.ErrorIs(t, err, ErrClosed)
			require.EqualError(t, err, "chanio: wait timer: closed")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				timer := NewTimer(ctx)
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

func TestWaitReturnsTheEndOfTheWait(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after func(timer *Timer, end context.CancelFunc) // one second into the wait of a minute
		want  time.Duration
		value bool // Canceled
	}{
		{"expired", func(*Timer, context.CancelFunc) {}, time.Minute, false},
		{"canceled", func(timer *Timer, _ context.CancelFunc) { timer.Cancel() }, time.Second, true},
		{"armed anew", func(timer *Timer, _ context.CancelFunc) { timer.Reset(time.Hour) }, time.Second, true},
		{"by the end of the timer's context", func(_ *Timer, end context.CancelFunc) { end() }, time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				timer := NewTimer(ctx)
				start := time.Now()
				timer.Reset(time.Minute)
				time.AfterFunc(time.Second, func() { tc.after(timer, cancel) })
				e, err := timer.Wait(t.Context())
				require.NoError(t, err)
				require.Equal(t, Expiry{Time: start.Add(tc.want), Canceled: tc.value}, e)
			})
		})
	}
}

func TestWaitReturnsAnUnreadValueAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		start := time.Now()
		timer.Reset(time.Second)
		<-time.After(time.Minute)
		e, err := timer.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, Expiry{Time: start.Add(time.Second)}, e)
		requireNoValue(t, timer)
	})
}

func TestWaitOfATimerThatIsNotArmedWaitsForOneThatWillBe(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
		time.AfterFunc(time.Second, func() { timer.Reset(time.Second) })
		start := time.Now()
		e, err := timer.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, Expiry{Time: start.Add(2 * time.Second)}, e)
	})
}

func TestWaitWithAnEndedContextReturnsItsErrorAndTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
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
	inBubble(t, func(t *testing.T, timer *Timer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		timer.Reset(time.Minute)
		_, err := timer.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, Expiry{Time: start.Add(time.Minute)}, <-timer.C())
	})
}

func TestDeadlineIsTheNextExpiryOfAnArmedTimer(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *Timer) {
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
			// The runtime counts some for a moment after they have returned.
			require.Less(t, runtime.NumGoroutine(), before+count/100)
		}
		timers := make([]*Timer, count)
		for i := range timers {
			timers[i] = NewTimer(ctx)
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
	// Not in a bubble: where many timers fire in one, Go 1.26's race detector loses
	// count of its stack, and crashes.
	ctx, cancel := context.WithCancel(t.Context())
	timer := NewTimer(ctx)
	var users, receivers sync.WaitGroup
	for range 4 {
		users.Go(func() {
			pause := NewTimer(ctx)
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
				if _, err := timer.Wait(t.Context()); errors.Is(err, ErrClosed) {
					return
				}
			}
		})
	}
	users.Wait()
	cancel()
	receivers.Wait()
}
