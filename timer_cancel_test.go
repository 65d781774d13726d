package chanio_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestArmingAnArmedTimerCancelsTheEarlierWaitOnce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rearm func(timer *chanio.Timer)
	}{
		{"Reset", func(timer *chanio.Timer) { timer.Reset(time.Minute) }},
		{"ResetAt", func(timer *chanio.Timer) { timer.ResetAt(time.Now().Add(time.Minute)) }},
		{"Every", func(timer *chanio.Timer) { timer.Every(time.Minute) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *chanio.Timer) {
				timer.Reset(time.Second)
				rearmed := time.Now()
				tc.rearm(timer)
				require.Equal(t, chanio.Expiry{Time: rearmed, Canceled: true}, <-timer.C())
				requireNoValue(t, timer)
				require.Equal(t, chanio.Expiry{Time: rearmed.Add(time.Minute)}, <-timer.C())
				requireNoValue(t, timer)
			})
		})
	}
}

func TestArmingAnExpiredTimerCancelsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		for range 3 {
			timer.Reset(time.Second)
			require.False(t, (<-timer.C()).Canceled)
		}
	})
}

func TestAnExpiryOfAnEarlierWaitIsNeverSeenAfterACall(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(timer *chanio.Timer)
		next time.Duration // when the next value comes; 0: none does
	}{
		{"Reset", func(timer *chanio.Timer) { timer.Reset(time.Hour) }, time.Hour},
		{"ResetAt", func(timer *chanio.Timer) { timer.ResetAt(time.Now().Add(time.Hour)) }, time.Hour},
		{"Every", func(timer *chanio.Timer) { timer.Every(time.Hour) }, time.Hour},
		{"Every of no period", func(timer *chanio.Timer) { timer.Every(0) }, 0},
		{"Cancel", func(timer *chanio.Timer) { timer.Cancel() }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, timer *chanio.Timer) {
				timer.Reset(time.Millisecond)
				<-time.After(20 * time.Millisecond)
				called := time.Now()
				tc.call(timer)
				requireNoValue(t, timer)
				if tc.next > 0 {
					e, err := timer.Wait(t.Context())
					require.NoError(t, err)
					require.Equal(t, chanio.Expiry{Time: called.Add(tc.next)}, e)
				}
			})
		})
	}
}

func TestATickOfAnEarlierRhythmIsNeverSeenAfterACall(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		timer.Every(time.Second)
		<-time.After(5*time.Second + 500*time.Millisecond)
		timer.Reset(time.Minute)
		require.True(t, (<-timer.C()).Canceled, "the wait for the next tick")
		requireNoValue(t, timer)
	})
}

func TestACanceledWaitIsReportedEvenAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		timer.Reset(time.Second)
		canceled := time.Now()
		timer.Cancel()
		timer.Cancel()
		timer.Reset(time.Minute)
		require.Equal(t, chanio.Expiry{Time: canceled, Canceled: true}, <-timer.C())
		require.False(t, (<-timer.C()).Canceled)
	})
}

func TestAnUnreadValueIsReplacedByTheNewest(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		timer.Reset(time.Second)
		<-time.After(time.Minute)
		timer.Reset(time.Second)
		timer.Cancel()
		require.Equal(t, chanio.Expiry{Time: time.Now(), Canceled: true}, <-timer.C())
		requireNoValue(t, timer)
	})
}

func TestCancelReportsWhetherAWaitWasArmed(t *testing.T) {
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
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
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		for round := range 2000 {
			canceled := make(chan bool, 1)
			cancel := func() { canceled <- timer.Cancel() }
			// The timer that was set first goes off first.
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
	inBubble(t, func(t *testing.T, timer *chanio.Timer) {
		for round := range 2000 {
			values := make(chan chanio.Expiry, 3)
			go func() {
				for range 2 {
					values <- <-timer.C()
				}
				close(values)
			}()
			// The receiver takes the end of the first wait before the second begins,
			// unless the second ended it.
			start, reset := time.Now(), func() { timer.Reset(time.Second) }
			if round%2 == 0 {
				timer.Reset(time.Second)
				time.AfterFunc(time.Second, reset)
			} else {
				time.AfterFunc(time.Second, reset)
				timer.Reset(time.Second)
			}
			require.Equal(t, start.Add(time.Second), (<-values).Time)
			require.Equal(t, chanio.Expiry{Time: start.Add(2 * time.Second)}, <-values)
			requireNoValue(t, timer)
		}
	})
}
