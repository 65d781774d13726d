package chanio

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// clockSet returns at as a read of the system clock would have given it had the
// clock been set by the given whole seconds: another wall clock reading, the
// same monotonic one. No API makes such a time, so clockSet changes the inside
// of a Time, and checks the result.
func clockSet(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	set := at
	wall := (*uint64)(unsafe.Pointer(&set)) // 1 bit: has monotonic; 33: seconds; 30: nanoseconds
	*wall += uint64(int64(by/time.Second)) << 30
	require.Zero(t, set.Sub(at), "the monotonic readings are the same")
	require.Equal(t, by, set.Round(0).Sub(at.Round(0)), "the clock readings differ")
	return set
}

// This test can't run in a bubble, where times have no monotonic reading.
func TestResetAtWhenTheClockIsSet(t *testing.T) {
	for _, tc := range []struct {
		name string
		by   time.Duration
	}{
		{"back", -time.Hour},
		{"forward", time.Hour},
	} {
		t.Run(tc.name+" before the call, for a time computed from now: nothing changes", func(t *testing.T) {
			timer, start := NewTimer(t.Context()), time.Now()
			timer.ResetAt(clockSet(t, start, -tc.by).Add(3 * time.Hour)) // start is from after the clock was set
			deadline, armed := timer.Deadline()
			require.True(t, armed)
			require.Equal(t, 3*time.Hour, deadline.Sub(start))
		})
		t.Run(tc.name+" before the call, for a reading of the clock: that is followed", func(t *testing.T) {
			timer, start := NewTimer(t.Context()), time.Now()
			at := clockSet(t, start, -tc.by).Add(3 * time.Hour).Round(0)
			timer.ResetAt(at)
			deadline, armed := timer.Deadline()
			require.True(t, armed)
			require.True(t, at.Equal(deadline.Round(0)))
			require.InDelta(t, 3*time.Hour-tc.by, deadline.Sub(start), float64(time.Second))
		})
		t.Run(tc.name+" during the wait: the time that elapses counts", func(t *testing.T) {
			timer := NewTimer(t.Context())
			timer.ResetAt(time.Now().Add(10 * time.Millisecond).Round(0))
			// The current clock gives the moment at which the alarm goes off another
			// name.
			timer.mu.Lock()
			deadline := timer.deadline
			timer.mu.Unlock()
			deadline = clockSet(t, deadline, -tc.by)
			timer.mu.Lock()
			timer.deadline = deadline
			timer.mu.Unlock()
			require.False(t, (<-timer.C()).Canceled)
		})
	}
}

func TestEveryDropsTheTicksThatAreAlreadyPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		timer, start := NewTimer(t.Context()), time.Now()
		timer.Every(time.Second)
		// The program got no processor for a while: the alarm goes off 3.5 s late.
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
