package compare

import (
	_ "embed" // of the bars
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
