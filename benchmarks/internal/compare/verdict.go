package compare

import "math"

// got returns what o has for the bar, and whether its entrant was part of it.
func (b Bar) got(o Outcome) (Spread, bool) {
	values := o.values(b.Figure)
	if len(values) == 0 {
		return Spread{}, false
	}
	if len(b.To) > 0 {
		values = ratios(values, b.best(o))
	}
	return spread(values), true
}

// best returns the best divisor of each repetition. A NaN, of a failed one, does
// not count.
func (b Bar) best(o Outcome) []float64 {
	var best []float64
	for _, f := range b.To {
		for i, v := range o.values(f) {
			switch {
			case i == len(best):
				best = append(best, v)
			case math.IsNaN(best[i]), (v < best[i]) == b.AtMost && !math.IsNaN(v):
				best[i] = v
			}
		}
	}
	return best
}

func (b Bar) reached(got, want float64) bool {
	if b.AtMost {
		return got <= want
	}
	return got >= want
}

// verdict says whether got reaches the bar.
func (b Bar) verdict(got Spread) string {
	switch {
	case got.Runs == 0:
		return "not measured"
	case b.Stated:
		return "for the record"
	case !b.reached(got.Median, b.Want):
		return "**no**"
	case b.Try != 0 && b.reached(got.Median, b.Try):
		return "yes, the harder one too"
	}
	return "yes"
}

// row returns the cells of the bar's verdict, or nil if o has no part in it.
func (b Bar) row(o Outcome) []string {
	got, ok := b.got(o)
	if !ok {
		return nil
	}
	format := b.Figure.Metric.Format
	if len(b.To) > 0 {
		format = Quotient
	}
	return []string{b.Text, got.Whole(format), b.verdict(got)}
}
