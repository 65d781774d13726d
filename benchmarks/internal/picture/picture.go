// Package picture draws the results of a comparison as SVG, for a README that
// may be read in a light or a dark color scheme.
package picture

import (
	"fmt"
	"math"
	"strings"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/compare"
)

// A Picture is one drawing.
type Picture struct {
	Name string // the file's name without extension
	Alt  string // a description for the alt attribute
	SVG  string
}

// Of returns the pictures for which o has the figures.
func Of(o *compare.Outcome) []Picture {
	var all []Picture
	for _, of := range []func(*compare.Outcome) (Picture, bool){throughput, latency, clients, sizes} {
		if p, ok := of(o); ok {
			all = append(all, p)
		}
	}
	return all
}

const margin = 12

// newPicture returns a picture with a title, an explanation of one line and a
// legend, below which draw draws.
func newPicture(name, title, says string, height float64, draw func(c *canvas, top float64)) Picture {
	var head, body canvas
	draw(&body, 66)
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%[1]d" height="%.0[2]f">`+"\n", width, height)
	head.style()
	head.box(0, 0, width, height, "b")
	head.text(margin, 24, "start", "t h", title)
	head.text(margin, 40, "start", "m", says)
	x := float64(margin)
	for _, l := range looks {
		if class := classOf(l.entrant); strings.Contains(body.String(), `class="`+class) {
			head.box(x, 50, 8, 8, class)
			head.text(x+12, 58, "start", "t", l.label)
			x += 30 + 5*float64(len(l.label)) // about the width of the text
		}
	}
	return Picture{name, title + ": " + says, head.String() + body.String() + "</svg>\n"}
}

// clients shows what a message costs as the number of clients grows.
func clients(o *compare.Outcome) (Picture, bool) {
	return growth(o, "clients", "Cost as clients grow", "TCP echo, 32 bytes", "clients", amount, func(c bench.Config) int { return c.Clients },
		"Server peak memory", compare.Peak)
}

// sizes shows what a message costs as its size grows.
func sizes(o *compare.Outcome) (Picture, bool) {
	return growth(o, "sizes", "Cost as messages grow", "TCP echo, 10 clients", "bytes of a message", binary, func(c bench.Config) int { return c.Size },
		"Bytes a second, echoed", compare.Data)
}

// inGrowth are drawn in this order, ours on top.
var inGrowth = []string{"std", "netpoll", compare.Ours}

// growth shows the CPU time per message and another metric along steps.
func growth(o *compare.Outcome, name, title, of, x string, label func(float64) string, at func(bench.Config) int,
	other string, metric compare.Metric) (Picture, bool) {
	left := panel{title: "Server CPU time a message", x: x, label: micro}
	right := panel{title: other, x: x, label: amountBytes}
	steps, err := compare.Select(name, "")
	if err != nil {
		return Picture{}, false
	}
	for _, s := range steps {
		n := float64(at(s.Config))
		left.ticks = append(left.ticks, tick{math.Log10(n), label(n)})
	}
	right.ticks = left.ticks
	for _, e := range inGrowth {
		var cost, others []point
		for i, s := range steps {
			cost = append(cost, point{left.ticks[i].at, o.Figure(s.Name, e, compare.Cost)})
			others = append(others, point{left.ticks[i].at, o.Figure(s.Name, e, metric)})
		}
		left.add(e, cost...)
		right.add(e, others...)
	}
	return lines(name, title, fmt.Sprintf("%s, 1 message in flight each; median, least and most of %s", of, o.Repetitions()), left, right)
}

// percentiles are those of a latency curve.
var percentiles = []float64{50, 75, 90, 95, 99, 99.5, 99.9, 99.99}

// ticked are those that the axis shows.
var ticked = []float64{50, 90, 99, 99.9, 99.99}

// nines maps percentiles so that each further nine is equally far from the
// previous one.
func nines(percent float64) float64 { return -math.Log10(1 - percent/100) }

// latency shows how long messages take, by percentile.
func latency(o *compare.Outcome) (Picture, bool) {
	return lines("latency", "Latency",
		fmt.Sprintf("TCP, 32 bytes, 1 message in flight; so many percent took no longer; median, least and most of %s", o.Repetitions()),
		curves(o, "Echo round trip, 100 clients", "tcp-echo-100x1", 99.99, "std", "netpoll", compare.Ours),
		curves(o, "Multicast, until the last of 1,000 has it", "tcp-fanout-1000", 99, "std", "loop", compare.Ours))
}

// curves returns the lines of a scenario up to a percentile for which there were
// enough messages.
func curves(o *compare.Outcome, title, scenario string, most float64, entrants ...string) panel {
	p := panel{title: title, x: "percentile", label: micro}
	for _, q := range ticked {
		if q <= most {
			p.ticks = append(p.ticks, tick{nines(q), fmt.Sprintf("%g %%", q)})
		}
	}
	for _, e := range entrants {
		var points []point
		for _, q := range percentiles {
			if q <= most {
				points = append(points, point{nines(q), o.Figure(scenario, e, compare.Metric(fmt.Sprintf("p%g-us", q)))})
			}
		}
		p.add(e, points...)
	}
	return p
}
