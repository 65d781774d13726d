package compare

import (
	_ "embed" // of the bars
	"math"
	"slices"
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
	Text   string // the words of its line
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
	text := strings.Join(words, " ")
	words, to := cut(words, "of")
	words, try := cut(words, "try")
	b := Bar{Text: text, Figure: Figure{words[0], words[1], Metric(words[2])}, Try: number(try)}
	b.Stated = len(words) == 4
	b.AtMost = words[3] == "<=" || words[3] == "less"
	b.Want = number(words[4:])
	for _, t := range to {
		f := b.Figure
		if strings.Contains(t, "-") {
			f.Scenario = t
		} else {
			f.Entrant = t
		}
		b.To = append(b.To, f)
	}
	return b
}

// number returns the number that words are, or zero without words.
func number(words []string) float64 {
	n, _ := strconv.ParseFloat(strings.Join(words, ""), 64)
	return n
}

// cut returns the words before and after the first that is sep.
func cut(words []string, sep string) (before, after []string) {
	if i := slices.Index(words, sep); i >= 0 {
		return words[:i], words[i+1:]
	}
	return words, nil
}

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
