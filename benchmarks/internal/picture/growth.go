package picture

import (
	"fmt"

	"gonum.org/v1/plot"

	"example.com/chanio/benchmarks/internal/compare"
)

const linesHeight = 260

var growthEntrants = []string{compare.Std, compare.Netpoll, compare.Ours} // ours is drawn last, on top

// clients shows what a message costs as the number of clients grows.
func clients(o *compare.Outcome) (Picture, bool) {
	return growth(o, "clients", "Cost as clients grow", "TCP echo, 32 bytes", "clients", compare.ClientSteps(), amount,
		"Server peak memory", compare.Peak)
}

// sizes shows what a message costs as its size grows.
func sizes(o *compare.Outcome) (Picture, bool) {
	return growth(o, "sizes", "Cost as messages grow", "TCP echo, 10 clients", "bytes of a message", compare.SizeSteps(), binary,
		"Bytes a second, echoed", compare.Data)
}

// growth shows the CPU time per message and another metric along steps.
func growth(o *compare.Outcome, name, title, of, x string, steps []compare.Step, label func(float64) string,
	other string, metric compare.Metric) (Picture, bool) {
	left := panel{title: "Server CPU time a message", x: x, logX: true, label: micro}
	right := panel{title: other, x: x, logX: true, label: amountBytes}
	for _, s := range steps {
		tick := plot.Tick{Value: s.X, Label: label(s.X)}
		left.xTicks, right.xTicks = append(left.xTicks, tick), append(right.xTicks, tick)
	}
	for _, e := range growthEntrants {
		left.add(e, along(o, steps, e, compare.Cost)...)
		right.add(e, along(o, steps, e, metric)...)
	}
	return lines(name, heading{
		title: title,
		says:  fmt.Sprintf("%s, 1 message in flight each; median, least and most of %d", of, o.Repeat),
	}, left, right)
}

// along returns an entrant's figures at the steps.
func along(o *compare.Outcome, steps []compare.Step, entrant string, m compare.Metric) []point {
	var points []point
	for _, s := range steps {
		points = append(points, point{s.X, o.Figure(s.Scenario, entrant, m)})
	}
	return points
}

// lines returns a picture of panels, or false if they are empty.
func lines(name string, h heading, panels ...panel) (Picture, bool) {
	with, entrants := drawn(panels...)
	h.entrants = inOrder(entrants)
	return Picture{
		Name:    name,
		Alt:     h.title + ": " + h.says,
		heading: h,
		height:  linesHeight,
		draw:    beside(with),
	}, len(with) > 0
}

// inOrder sorts entrants in the order of a legend.
func inOrder(entrants []string) []string {
	var sorted []string
	for _, e := range []string{compare.Ours, compare.BothOurs, compare.Std, compare.Coalesced, compare.Loop, compare.Netpoll} {
		for _, has := range entrants {
			if has == e {
				sorted = append(sorted, e)
			}
		}
	}
	return sorted
}

// binary labels a size that is a power of two.
func binary(v float64) string {
	switch {
	case v >= 1<<20:
		return fmt.Sprintf("%g Mi", v/(1<<20))
	case v >= 1<<10:
		return fmt.Sprintf("%g Ki", v/(1<<10))
	}
	return fmt.Sprintf("%g", v)
}
