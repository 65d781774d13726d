package compare

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/perf/benchmath"
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
	s := benchmath.NewSample(v, &benchmath.DefaultThresholds)
	median := benchmath.AssumeNothing.Summary(s, 0.95).Center
	return Spread{Median: median, Min: slices.Min(v), Max: slices.Max(v), Runs: len(v)}
}

// Middle returns the median as format formats it, or nothing if nothing was
// measured.
func (s Spread) Middle(format func(float64) string) string {
	if s.Runs == 0 {
		return ""
	}
	return format(s.Median)
}

// Whole returns the median with the minimum and the maximum.
func (s Spread) Whole(format func(float64) string) string {
	if s.Runs < 2 {
		return s.Middle(format)
	}
	return fmt.Sprintf("%s (%s to %s)", format(s.Median), format(s.Min), format(s.Max))
}

// Quotient formats a ratio.
func Quotient(q float64) string { return fmt.Sprintf("%.2f", q) }

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
