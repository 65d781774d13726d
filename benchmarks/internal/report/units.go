package report

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/perf/benchunit"
)

// Bytes returns n bytes with four digits and a binary unit: 1.5 KiB.
func Bytes(n float64) string { return scaled(n, benchunit.Binary, "B") }

// Count returns n with four digits and, from a thousand, a decimal unit: 5.7 M.
func Count(n float64) string {
	if n < 1000 {
		return fmt.Sprintf("%.4g", n)
	}
	return Decimal(n, "")
}

// Duration returns d with four digits, the precision of a measurement.
func Duration(d time.Duration) string { return Decimal(d.Seconds(), "s") }

// Decimal returns v with four digits and a decimal prefix before its unit.
func Decimal(v float64, unit string) string { return scaled(v, benchunit.Decimal, unit) }

func scaled(v float64, class benchunit.Class, unit string) string {
	s := benchunit.CommonScale([]float64{v}, class)
	return strings.TrimSpace(fmt.Sprintf("%.4g %s%s", v/s.Factor, s.Prefix, unit))
}
