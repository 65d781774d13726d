package picture

import (
	"fmt"

	"gonum.org/v1/plot"

	"example.com/chanio/benchmarks/internal/compare"
)

const linesHeight = 260

var growthEntrants = []string{compare.Std, compare.Netpoll, compare.Ours} // ours is drawn last, on top

// clients shows what a message costs as clients grow.
func clients(o *compare.Outcome) (Picture, bool) {
	steps := compare.ClientSteps()
	cpu := panel{title: "Server CPU time a message", x: "clients", logX: true, label: micro}
	memory := panel{title: "Server peak memory", x: "clients", logX: true, label: amountBytes}
	for _, s := range steps {
		tick := plot.Tick{Value: s.X, Label: amount(s.X)}
		cpu.xTicks, memory.xTicks = append(cpu.xTicks, tick), append(memory.xTicks, tick)
	}
	for _, e := range growthEntrants {
		cpu.add(e, along(o, steps, e, compare.Cost)...)
		memory.add(e, along(o, steps, e, compare.Peak)...)
	}
	return lines("clients", heading{
		title: "Cost as clients grow",
		says:  fmt.Sprintf("TCP echo, 32 bytes, 1 message in flight each; median, least and most of %d", o.Repeat),
	}, cpu, memory)
}

// sizes shows what a message costs as it grows.
func sizes(o *compare.Outcome) (Picture, bool) {
	steps := compare.SizeSteps()
	cpu := panel{title: "Server CPU time a message", x: "bytes of a message", logX: true, label: micro}
	data := panel{title: "Bytes a second, echoed", x: "bytes of a message", logX: true, label: amountBytes}
	for _, s := range steps {
		tick := plot.Tick{Value: s.X, Label: binary(s.X)}
		cpu.xTicks, data.xTicks = append(cpu.xTicks, tick), append(data.xTicks, tick)
	}
	for _, e := range growthEntrants {
		cpu.add(e, along(o, steps, e, compare.Cost)...)
		data.add(e, along(o, steps, e, compare.Data)...)
	}
	return lines("sizes", heading{
		title: "Cost as messages grow",
		says:  fmt.Sprintf("TCP echo, 10 clients, 1 message in flight each; median, least and most of %d", o.Repeat),
	}, cpu, data)
}

// along returns an entrant's figures at the steps.
func along(o *compare.Outcome, steps []compare.Step, entrant string, m compare.Metric) []point {
	var points []point
	for _, s := range steps {
		points = append(points, point{s.X, o.Figure(s.Scenario, entrant, m)})
	}
	return points
}

// lines returns a picture of panels, and false if there is nothing in them.
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

// inOrder sorts entrants as a legend has them.
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
