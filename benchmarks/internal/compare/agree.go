package compare

import (
	"io"
	"math"
	"slices"
)

// agreed is how much the median ratios of two runs may differ.
const agreed = 0.15

// WriteAgreement writes how much the ratios of messages per second to the base
// differ between two runs, that is, how well figures repeat.
func WriteAgreement(w io.Writer, a, b *Outcome) error {
	p := &printer{w: w}
	header := []string{"scenario", "server", "one run", "the other", "differ by"}
	var all []float64
	for _, r := range a.Results {
		other, ok := b.Result(r.Scenario, r.Entrant)
		x, y := r.Ratios[Messages], other.Ratios[Messages]
		if !ok || x.Runs == 0 || y.Runs == 0 {
			continue
		}
		d := difference(x.Median, y.Median)
		all = append(all, d)
		p.row(header, []string{r.Scenario, r.Entrant, ratio(x), ratio(y), percent(d)})
	}
	p.end()
	if len(all) == 0 {
		p.line("The two runs have no ratio in common.")
		return p.err
	}
	within := 0
	for _, d := range all {
		if d <= agreed {
			within++
		}
	}
	p.line("\n%d ratios: they differ by %s in the median and %s at most; %d are within %s.",
		len(all), percent(spread(all).Median), percent(slices.Max(all)), within, percent(agreed))
	return p.err
}

// difference returns the relative difference of two ratios, the same in either
// order.
func difference(a, b float64) float64 {
	return math.Abs(a-b) / max(min(math.Abs(a), math.Abs(b)), math.SmallestNonzeroFloat64)
}
