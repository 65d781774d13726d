package picture

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"example.com/chanio/benchmarks/internal/compare"
)

// A row is a scenario, with one bar per entrant.
type row struct {
	title string
	bars  []bar
}

// A bar is an entrant's messages per second, as a ratio to package net's.
type bar struct {
	entrant string
	ratio   compare.Spread
}

// ratioScenarios are the rows of the picture of ratios, from the top.
var ratioScenarios = []string{
	"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-echo-100x1",
	"tls-echo-1x1000", "tls-echo-100x1000", "tls-echo-100x1",
	"udp-echo-1x1000", "udp-echo-100x1000", "udp-echo-100x1",
	"tcp-multicast-1", "tcp-multicast-100",
	"tls-multicast-1", "tls-multicast-100",
	"udp-multicast-1", "udp-multicast-100",
}

var ratioEntrants = []string{compare.Ours, compare.BothOurs, compare.Coalesced, compare.Netpoll}

const (
	barHeight vg.Length = 7
	barGap    vg.Length = 1.5 // between the bars of a row
	rowGap    vg.Length = 8
)

// throughput shows messages per second as ratios to package net.
func throughput(o *compare.Outcome) (Picture, bool) {
	var rows []row
	var entrants []string
	for _, name := range ratioScenarios {
		r := ratioRow(o, name)
		if len(r.bars) == 0 {
			continue
		}
		rows = append(rows, r)
		for _, b := range r.bars {
			if !slices.Contains(entrants, b.entrant) {
				entrants = append(entrants, b.entrant)
			}
		}
	}
	h := heading{
		title:    "Throughput compared with package net",
		says:     fmt.Sprintf("messages a second, 32 bytes; package net is 1; median, least and most of %d", o.Repeat),
		entrants: inOrder(entrants),
	}
	const frame = 90 // the heading and the axis
	return Picture{
		Name:    "throughput",
		Alt:     h.title + ": " + h.says,
		heading: h,
		height:  frame + rowsHeight(rows),
		draw:    func(c draw.Canvas, t Theme) { drawRows(c, t, rows) },
	}, len(rows) > 0
}

func ratioRow(o *compare.Outcome, scenario string) row {
	var r row
	for _, e := range ratioEntrants {
		res, ok := o.Result(scenario, e)
		if q := res.Ratios[compare.Messages]; ok && q.Runs > 0 && q.Min > 0 {
			r.title = res.Title
			r.bars = append(r.bars, bar{e, q})
		}
	}
	return r
}

func (r row) height() vg.Length {
	return vg.Length(len(r.bars))*(barHeight+barGap) - barGap + rowGap
}

func rowsHeight(rows []row) vg.Length {
	var sum vg.Length
	for _, r := range rows {
		sum += r.height()
	}
	return sum
}

// drawRows draws the rows over a logarithmic axis, on which 2 is as far to the
// right of 1 as 0.5 is to the left.
func drawRows(c draw.Canvas, t Theme, rows []row) {
	p := newPlot(t)
	b := bars{rows: rows, theme: t}
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = ratioTicks{}
	p.Y.LineStyle.Width, p.Y.Tick.LineStyle.Width, p.Y.Tick.Length = 0, 0, 0
	p.Y.Tick.Marker = plot.ConstantTicks(b.titles())
	p.Y.Tick.Label.Color = t.text
	g := grid(t)
	g.Horizontal.Color = nil
	p.Add(g, b)
	p.X.Min, p.X.Max = min(0.5, p.X.Min/1.2), max(2, p.X.Max*1.8) // room for the label after a bar
	p.Draw(c)
}

// bars draws rows, in points from the bottom.
type bars struct {
	rows  []row
	theme Theme
}

// titles returns a tick in the middle of each row.
func (b bars) titles() []plot.Tick {
	var ticks []plot.Tick
	y := rowsHeight(b.rows)
	for _, r := range b.rows {
		ticks = append(ticks, plot.Tick{Value: float64(y - r.height()/2), Label: r.title})
		y -= r.height()
	}
	return ticks
}

func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, toY := p.Transforms(&c)
	words := p.X.Tick.Label
	words.XAlign, words.YAlign = 0, -0.45
	words.Color = b.theme.text
	y := rowsHeight(b.rows)
	for _, r := range b.rows {
		top := y - rowGap/2
		for _, br := range r.bars {
			color := b.theme.of(br.entrant)
			low, high := toY(float64(top-barHeight)), toY(float64(top))
			middle := (low + high) / 2
			c.FillPolygon(color, rectangle(x(1), low, x(br.ratio.Median), high))
			c.StrokeLines(draw.LineStyle{Color: b.theme.text, Width: 0.7},
				[]vg.Point{{X: x(br.ratio.Min), Y: middle}, {X: x(br.ratio.Max), Y: middle}})
			c.FillText(words, vg.Point{X: max(x(1), x(br.ratio.Max)) + 4, Y: middle}, times(br.ratio.Median))
			top -= barHeight + barGap
		}
		y -= r.height()
	}
	c.StrokeLines(draw.LineStyle{Color: b.theme.text, Width: 1},
		[]vg.Point{{X: x(1), Y: c.Min.Y}, {X: x(1), Y: c.Max.Y}})
}

func (b bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax = 1, 1
	for _, r := range b.rows {
		for _, br := range r.bars {
			xmin, xmax = min(xmin, br.ratio.Min), max(xmax, br.ratio.Max)
		}
	}
	return xmin, xmax, 0, float64(rowsHeight(b.rows))
}

// times formats a ratio.
func times(q float64) string {
	switch {
	case q >= 100:
		return fmt.Sprintf("%.0f", q)
	case q >= 10:
		return fmt.Sprintf("%.1f", q)
	}
	return fmt.Sprintf("%.2f", q)
}

// ratioTicks places ticks at 1, 2, 5, 10 and so on, and at their inverses.
type ratioTicks struct{}

func (ratioTicks) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for _, v := range []float64{1, 2, 5} {
		for decade := 1.0; decade < 1e6; decade *= 10 {
			if q := v * decade; q <= most {
				ticks = append(ticks, plot.Tick{Value: q, Label: fmt.Sprintf("%g", q)})
			}
			if q := 1 / (v * decade); q < 1 && q >= least {
				ticks = append(ticks, plot.Tick{Value: q, Label: fmt.Sprintf("1/%g", math.Round(1/q))})
			}
		}
	}
	return ticks
}
