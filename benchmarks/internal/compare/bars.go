package compare

import (
	_ "embed" // of the bars
	"math"
	"strconv"
	"strings"
)

// A Figure is a metric of one entrant of one scenario.
type Figure struct {
	Scenario, Entrant string
	Metric            Metric
}

// A Bar is what the median of a figure, or of its ratio to the best of other
// figures of the same repetition, must reach.
type Bar struct {
	Text   string // its line
	Figure Figure
	To     []Figure // the divisors of Figure; if empty, Figure counts by itself
	AtMost bool     // Want is an upper bound, and the least divisor is the best
	Want   float64
	Try    float64 // a harder bar; 0 for none
	Stated bool    // the figure is reported and not judged
}

//go:embed bars.txt
var bars string

// Bars returns what the project requires of the library.
func Bars() []Bar {
	var all []Bar
	for words := range rows(bars) {
		all = append(all, barOf(words))
	}
	return all
}

// barOf returns the bar of a line's words.
func barOf(words []string) Bar {
	b := Bar{Text: strings.Join(words, " "), Figure: Figure{words[0], words[1], Metric(words[2])}}
	bound := words[3] // and how words after it are read
	b.AtMost = bound == "<=" || bound == "less"
	b.Stated = bound == "any" || bound == "less"
	for _, w := range words[4:] {
		n, err := strconv.ParseFloat(w, 64)
		other := b.Figure
		switch {
		case err == nil && bound == "try":
			b.Try = n
		case err == nil:
			b.Want = n
		case w == "try" || w == "of":
			bound = w
		case strings.Contains(w, "-"):
			other.Scenario = w
			b.To = append(b.To, other)
		default:
			other.Entrant = w
			b.To = append(b.To, other)
		}
	}
	return b
}

// row returns the cells of the bar's verdict, or nil if its entrant was no part
// of o.
func (b Bar) row(o Outcome) []string {
	values, format := o.values(b.Figure), b.Figure.Metric.Format
	if len(values) == 0 {
		return nil
	}
	if len(b.To) > 0 {
		values, format = ratios(values, b.best(o)), Quotient
	}
	got := spread(values)
	return []string{b.Text, got.Whole(format), b.verdict(got)}
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

// verdict says whether got reaches the bar.
func (b Bar) verdict(got Spread) string {
	reached := func(want float64) bool { return got.Median == want || (got.Median < want) == b.AtMost }
	switch {
	case got.Runs == 0:
		return "not measured"
	case b.Stated:
		return "for the record"
	case !reached(b.Want):
		return "**no**"
	case b.Try != 0 && reached(b.Try):
		return "yes, the harder one too"
	}
	return "yes"
}
