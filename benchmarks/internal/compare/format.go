package compare

import (
	"fmt"

	"example.com/chanio/benchmarks/internal/report"
)

// number returns a bound as a person wrote it.
func number(v float64) string {
	if v >= 1000 {
		return report.Count(v)
	}
	return fmt.Sprintf("%g", v)
}

// span returns a figure with its least and most.
func span(s Spread) string {
	switch s.Runs {
	case 0:
		return ""
	case 1:
		return report.Count(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", report.Count(s.Median), report.Count(s.Min), report.Count(s.Max))
}

// middle returns a figure's median only.
func middle(s Spread) string {
	if s.Runs == 0 {
		return ""
	}
	return report.Count(s.Median)
}

// ratio returns the spread of a ratio.
func ratio(s Spread) string {
	switch s.Runs {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Min, s.Max)
}
