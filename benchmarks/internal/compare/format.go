package compare

import (
	"fmt"
	"strconv"

	"example.com/chanio/benchmarks/internal/report"
)

// number formats a bound as a person would write it.
func number(v float64) string {
	if v >= 1000 {
		return report.Count(v)
	}
	return fmt.Sprintf("%g", v)
}

// span formats a figure with its minimum and maximum.
func span(s Spread) string {
	switch s.Runs {
	case 0:
		return ""
	case 1:
		return report.Count(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", report.Count(s.Median), report.Count(s.Min), report.Count(s.Max))
}

// middle formats only a figure's median.
func middle(s Spread) string {
	if s.Runs == 0 {
		return ""
	}
	return report.Count(s.Median)
}

// ratio formats the spread of a ratio.
func ratio(s Spread) string {
	switch s.Runs {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Min, s.Max)
}

// micro formats microseconds with three digits.
func micro(us float64) string {
	unit := "µs"
	if us >= 1000 {
		us, unit = us/1000, "ms"
	}
	switch {
	case us >= 100:
		return fmt.Sprintf("%.0f %s", us, unit)
	case us >= 10:
		return fmt.Sprintf("%.1f %s", us, unit)
	}
	return fmt.Sprintf("%.2f %s", us, unit)
}

// percent formats a fraction of 1.
func percent(part float64) string { return fmt.Sprintf("%.0f %%", 100*part) }

// grouped formats n with commas between thousands.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted formats a number of things.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// size formats a round number of bytes: 64 KiB.
func size(n int) string {
	switch {
	case n >= 1<<20:
		return strconv.Itoa(n>>20) + " MiB"
	case n >= 1<<10:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n) + " B"
}
