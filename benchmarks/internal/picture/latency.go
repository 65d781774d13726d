package picture

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"

	"example.com/chanio/benchmarks/internal/compare"
)

// percentiles are the metrics of a latency curve.
var percentiles = []struct {
	percent float64
	metric  compare.Metric
	tick    string // of the axis; "" for none
}{
	{50, compare.P50, "50 %"},
	{75, compare.P75, ""},
	{90, compare.P90, "90 %"},
	{95, compare.P95, ""},
	{99, compare.P99, "99 %"},
	{99.5, compare.P995, ""},
	{99.9, compare.P999, "99.9 %"},
	{99.99, compare.P9999, "99.99 %"},
}

// nines maps percentiles so that each further nine is equally far from the
// previous one.
func nines(percent float64) float64 { return -math.Log10(1 - percent/100) }

// latency shows how long messages take, by percentile.
func latency(o *compare.Outcome) (Picture, bool) {
	echo := curves(o, "Echo round trip, 100 clients", "tcp-echo-100x1", 99.99, compare.Std, compare.Netpoll, compare.Ours)
	fanout := curves(o, "Multicast, until the last of 1,000 has it", "tcp-fanout-1000", 99, compare.Std, compare.Loop, compare.Ours)
	return lines("latency", heading{
		title: "Latency",
		says:  fmt.Sprintf("TCP, 32 bytes, 1 message in flight; so many percent took no longer; median, least and most of %d", o.Repeat),
	}, echo, fanout)
}

// curves returns the lines of a scenario up to a percentile for which there were
// enough messages.
func curves(o *compare.Outcome, title, scenario string, most float64, entrants ...string) panel {
	p := panel{title: title, x: "percentile", label: micro}
	for _, q := range percentiles {
		if q.tick != "" && q.percent <= most {
			p.xTicks = append(p.xTicks, plot.Tick{Value: nines(q.percent), Label: q.tick})
		}
	}
	for _, e := range entrants {
		var points []point
		for _, q := range percentiles {
			if q.percent <= most {
				points = append(points, point{nines(q.percent), o.Figure(scenario, e, q.metric)})
			}
		}
		p.add(e, points...)
	}
	return p
}
