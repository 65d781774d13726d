package compare

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgressTellsTheTimeThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		takes := func(name string, d time.Duration) Entrant {
			return Entrant{name, func(context.Context, Settings) (Sample, error) {
				time.Sleep(d)
				return nil, nil
			}}
		}
		var text strings.Builder
		r := newRun(2, Scenario{Name: "a", Base: Std, Entrants: []Entrant{takes(Ours, 10*time.Second), takes(Std, 2*time.Second)}})
		r.Progress = &Progress{W: &text}
		r.Length = 3500 * time.Millisecond
		r.Do(t.Context())
		require.Equal(t, `1/4, 16s left: a, chanio, repetition 1 of 2
2/4, 30s left: a, std, repetition 1 of 2
3/4, 12s left: a, std, repetition 2 of 2
4/4, 10s left: a, chanio, repetition 2 of 2
4 trials in 24s
`, text.String(), "as guessed, as the first, and then as each has taken")
	})
}

func TestEnoughRepetitionsAreNotRepeated(t *testing.T) {
	r := newRun(3, Scenario{Name: "a", Base: Std, Most: 1, Entrants: []Entrant{scripted(Std, 1)}})
	r.Do(t.Context())
	require.Equal(t, 1, r.Outcome(nil).Figure("a", Std, Messages).Runs)
}
