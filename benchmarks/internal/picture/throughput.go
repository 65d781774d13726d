package picture

import (
	"fmt"
	"math"
	"slices"

	"example.com/chanio/benchmarks/internal/compare"
)

// A row is a scenario, with one bar per entrant: its messages per second, as a
// ratio to package net's.
type row struct {
	title string
	bars  []line // of one point
}

// inThroughput are the scenarios of the picture of ratios.
var inThroughput = []string{
	"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-echo-100x1",
	"tls-echo-1x1000", "tls-echo-100x1000", "tls-echo-100x1",
	"udp-echo-1x1000", "udp-echo-100x1000", "udp-echo-100x1",
	"tcp-multicast-1", "tcp-multicast-100",
	"tls-multicast-1", "tls-multicast-100",
	"udp-multicast-1", "udp-multicast-100",
}

const (
	barHeight = 8.5 // with the gap below it
	rowGap    = 8
	rowsLeft  = 210 // where titles end and the axis begins
)

// throughput shows messages per second as ratios to package net.
func throughput(o *compare.Outcome) (Picture, bool) {
	var rows []row
	x := scale{math.Log10(0.5), math.Log10(2), rowsLeft, width - margin - 34}
	height := 0.0
	for _, s := range compare.Catalogue() {
		if !slices.Contains(inThroughput, s.Name) {
			continue
		}
		r := row{title: s.Title()}
		for _, l := range looks {
			if q := o.Ratio(s, l.entrant, compare.Messages); q.Runs > 0 && q.Min > 0 {
				r.bars = append(r.bars, line{l.entrant, []point{{Spread: q}}})
				x.least, x.most = min(x.least, math.Log10(q.Min)), max(x.most, math.Log10(q.Max))
			}
		}
		if len(r.bars) > 0 {
			rows = append(rows, r)
			height += rowGap + barHeight*float64(len(r.bars))
		}
	}
	const top, axis = 66, 30
	return newPicture("throughput", "Throughput compared with package net",
		fmt.Sprintf("messages a second, 32 bytes; package net is 1; median, least and most of %s", o.Repetitions()),
		top+height+axis, func(c *canvas, top float64) { drawRows(c, top, height, x, rows) }), len(rows) > 0
}

// drawRows draws the rows over a logarithmic axis, on which 2 is as far to the
// right of 1 as 0.5 is to the left.
func drawRows(c *canvas, top, height float64, x scale, rows []row) {
	for _, t := range logTicks(x.least, x.most, amount) {
		c.line(x.at(t.at), top, x.at(t.at), top+height, "g")
		c.text(x.at(t.at), top+height+14, "middle", "m", t.label)
	}
	y := top + rowGap/2
	for _, r := range rows {
		c.text(rowsLeft-6, y+barHeight*float64(len(r.bars))/2+3, "end", "t", r.title)
		for _, b := range r.bars {
			q := b.points[0]
			from, to := x.at(min(0, math.Log10(q.Median))), x.at(max(0, math.Log10(q.Median)))
			c.box(from, y, to-from, barHeight-1.5, classOf(b.entrant))
			c.line(x.at(math.Log10(q.Min)), y+3.5, x.at(math.Log10(q.Max)), y+3.5, "a")
			c.text(max(x.at(0), x.at(math.Log10(q.Max)))+4, y+7, "start", "t", amount(q.Median))
			y += barHeight
		}
		y += rowGap
	}
	c.line(x.at(0), top, x.at(0), top+height, "a")
}
