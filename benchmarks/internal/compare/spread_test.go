package compare

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpreadIsOfTheRepetitionsThatSucceeded(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"nothing", nil, Spread{}},
		{"all failed", []float64{nan, nan}, Spread{}},
		{"one", []float64{3}, Spread{3, 3, 3, 1}},
		{"odd", []float64{5, 1, 3}, Spread{3, 1, 5, 3}},
		{"even", []float64{4, 1, 3, 2}, Spread{2.5, 1, 4, 4}},
		{"one failed", []float64{9, nan, 7, 8}, Spread{8, 7, 9, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, spread(c.values))
		})
	}
}

func TestSpreadLeavesTheRepetitionsInOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	spread(values)
	require.Equal(t, []float64{3, 1, 2}, values)
}

func TestRatiosPairRepetitions(t *testing.T) {
	got := ratios([]float64{2, 9, math.NaN(), 4, 5}, []float64{4, 3, 1, 0})
	require.Len(t, got, 4)
	require.Equal(t, []float64{0.5, 3}, got[:2])
	require.True(t, math.IsNaN(got[2]), "a trial that failed has no ratio")
	require.True(t, math.IsNaN(got[3]), "nothing is a multiple of zero")
}
