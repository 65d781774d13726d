package compare

import (
	"math"
	"slices"
)

// A Spread summarizes a figure over the repetitions of a run.
type Spread struct {
	Median, Min, Max float64
	Runs             int
}

// spread returns the spread of values. NaNs, of failed repetitions, do not
// count.
func spread(values []float64) Spread {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return Spread{}
	}
	slices.Sort(v)
	middle := len(v) / 2
	median := v[middle]
	if len(v)%2 == 0 {
		median = (v[middle-1] + v[middle]) / 2
	}
	return Spread{Median: median, Min: v[0], Max: v[len(v)-1], Runs: len(v)}
}

// ratios divides the figures of two entrants repetition by repetition: whatever
// disturbed the machine during one repetition disturbed both. If either failed,
// the ratio is NaN.
func ratios(values, base []float64) []float64 {
	r := make([]float64, min(len(values), len(base)))
	for i := range r {
		r[i] = math.NaN()
		if base[i] != 0 {
			r[i] = values[i] / base[i]
		}
	}
	return r
}
