package compare

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"example.com/chanio/benchmarks/internal/report"
)

// spanOf formats a spread, the median first.
func spanOf(s Spread, format func(float64) string) string {
	switch s.Runs {
	case 0:
		return ""
	case 1:
		return format(s.Median)
	}
	return fmt.Sprintf("%s (%s to %s)", format(s.Median), format(s.Min), format(s.Max))
}

// span formats a figure with its minimum and maximum.
func span(s Spread) string { return spanOf(s, report.Count) }

// middle formats only a figure's median.
func middle(s Spread) string {
	if s.Runs == 0 {
		return ""
	}
	return report.Count(s.Median)
}

// ratio formats the spread of a ratio.
func ratio(s Spread) string {
	return spanOf(s, func(q float64) string { return fmt.Sprintf("%.2f", q) })
}

// micro formats microseconds with three digits.
func micro(us float64) string {
	unit := "µs"
	if us >= 1000 {
		us, unit = us/1000, "ms"
	}
	digits := 2
	for limit := 10.0; us >= limit && digits > 0; limit *= 10 {
		digits--
	}
	return fmt.Sprintf("%.*f %s", digits, us, unit)
}

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

// printer writes tables and keeps the first error.
type printer struct {
	w   io.Writer
	in  bool // inside a table
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// row writes a row, preceded by the header if it is the table's first. A table
// without rows is not written at all.
func (p *printer) row(header, cells []string) {
	if !p.in {
		p.line("\n| %s |", strings.Join(header, " | "))
		p.line("|%s", strings.Repeat(" --- |", len(header)))
		p.in = true
	}
	p.line("| %s |", strings.Join(cells, " | "))
}

func (p *printer) end() { p.in = false }
