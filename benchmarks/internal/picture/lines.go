package picture

import (
	"fmt"
	"math"
	"slices"

	"example.com/chanio/benchmarks/internal/compare"
)

// A panel is a plot of lines, one per entrant, with a logarithmic ordinate.
type panel struct {
	title, x string
	ticks    []tick
	label    func(float64) string // of the ordinate
	lines    []line
}

// A line is one entrant's figures.
type line struct {
	entrant string
	points  []point
}

// A point is a figure over x.
type point struct {
	x float64
	compare.Spread
}

// add adds an entrant's line. It omits figures that were not measured or that
// don't fit a logarithmic scale, and a line without figures.
func (p *panel) add(entrant string, points ...point) {
	var drawn []point
	for _, pt := range points {
		if pt.Runs > 0 && pt.Min > 0 && !math.IsInf(pt.Max, 1) {
			drawn = append(drawn, pt)
		}
	}
	if len(drawn) > 0 {
		p.lines = append(p.lines, line{entrant, drawn})
	}
}

const linesHeight = 260

// lines returns a picture of panels side by side, or false if they are empty.
func lines(name, title, says string, panels ...panel) (Picture, bool) {
	panels = slices.DeleteFunc(panels, func(p panel) bool { return len(p.lines) == 0 })
	return newPicture(name, title, says, linesHeight, func(c *canvas, top float64) {
		w := float64(width-2*margin) / float64(len(panels))
		for i, p := range panels {
			p.draw(c, margin+w*float64(i), top, w)
		}
	}), len(panels) > 0
}

// draw draws the panel into the w points right of left.
func (p panel) draw(c *canvas, left, top, w float64) {
	x := scale{p.ticks[0].at, p.ticks[len(p.ticks)-1].at, left + 44, left + w - 16}
	y := scale{math.Inf(1), math.Inf(-1), linesHeight - margin - 28, top + 20}
	for _, l := range p.lines {
		for _, pt := range l.points {
			y.least, y.most = min(y.least, math.Log10(pt.Min)-0.1), max(y.most, math.Log10(pt.Max)+0.1)
		}
	}
	c.text((x.from+x.to)/2, top+10, "middle", "t", p.title)
	c.text((x.from+x.to)/2, y.from+28, "middle", "m", p.x)
	for _, t := range p.ticks {
		c.line(x.at(t.at), y.from, x.at(t.at), y.to, "g")
		c.text(x.at(t.at), y.from+14, "middle", "m", t.label)
	}
	for _, t := range logTicks(y.least, y.most, p.label) {
		c.line(x.from, y.at(t.at), x.to, y.at(t.at), "g")
		c.text(x.from-5, y.at(t.at)+3, "end", "m", t.label)
	}
	for _, l := range p.lines {
		l.draw(c, x, y)
	}
}

// draw draws dots at the medians, and thin strokes from minimum to maximum.
func (l line) draw(c *canvas, x, y scale) {
	class, path := classOf(l.entrant), "M"
	for i, pt := range l.points {
		px, py := x.at(pt.x), y.at(math.Log10(pt.Median))
		c.line(px, y.at(math.Log10(pt.Min)), px, y.at(math.Log10(pt.Max)), class+" w")
		fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="2.2" class="%s"/>`+"\n", px, py, class)
		if i > 0 {
			path += "L"
		}
		path += fmt.Sprintf("%.1f %.1f", px, py)
	}
	fmt.Fprintf(c, `<path d="%s" class="%s l"/>`+"\n", path, class)
}
