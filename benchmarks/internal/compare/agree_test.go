package compare

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func measured(t *testing.T, rates ...float64) *Outcome {
	t.Helper()
	s := Scenario{Name: "a", Base: Std, Entrants: []Entrant{scripted(Std, 1)}}
	for i, rate := range rates {
		s.Entrants = append(s.Entrants, scripted([]string{Ours, Netpoll, Loop}[i], rate))
	}
	r := newRun(1, s)
	r.Do(t.Context())
	return r.Outcome(nil)
}

func TestRunsAgreeInTheirRatios(t *testing.T) {
	var text strings.Builder
	require.NoError(t, WriteAgreement(&text, measured(t, 1, 2, 3), measured(t, 1.1, 2, 1.5)))
	require.Contains(t, text.String(), "| a | chanio | 1.00 | 1.10 | 10 % |")
	require.Contains(t, text.String(), "3 ratios: they differ by 10 % in the median and 100 % at most; 2 are within 15 %.")
}

func TestRunsWithoutACommonRatio(t *testing.T) {
	var text strings.Builder
	require.NoError(t, WriteAgreement(&text, measured(t), measured(t, 1)))
	require.Equal(t, "The two runs have no ratio in common.\n", text.String())
}

func TestDifferenceIsTheSameInEitherDirection(t *testing.T) {
	require.InDelta(t, 1, difference(1, 2), 1e-9)
	require.InDelta(t, 1, difference(2, 1), 1e-9)
	require.Zero(t, difference(3, 3))
}
