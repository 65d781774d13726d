package picture

import (
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"example.com/chanio/benchmarks/internal/compare"
)

// A panel is a plot of lines, one per entrant, with a logarithmic ordinate.
type panel struct {
	title  string
	x      string
	xTicks []plot.Tick
	logX   bool
	label  func(float64) string // of the ordinate
	lines  []line
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

func (p *panel) draw(c draw.Canvas, t Theme) {
	out := newPlot(t)
	out.Title.Text = p.title
	out.X.Label.Text = p.x
	out.X.Tick.Marker = plot.ConstantTicks(p.xTicks)
	if p.logX {
		out.X.Scale = plot.LogScale{}
	}
	out.Y.Scale = plot.LogScale{}
	out.Y.Tick.Marker = logTicks{p.label}
	out.Add(grid(t))
	for _, l := range p.lines {
		out.Add(curve{l.points, t.of(l.entrant)})
	}
	for _, tick := range p.xTicks {
		out.X.Min, out.X.Max = min(out.X.Min, tick.Value), max(out.X.Max, tick.Value)
	}
	out.Y.Min, out.Y.Max = out.Y.Min/1.3, out.Y.Max*1.3
	out.Draw(c)
}

// curve draws a line: dots at the medians, and thin strokes from minimum to
// maximum.
type curve struct {
	points []point
	color  color.Color
}

func (cv curve) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	at := func(px, py float64) vg.Point { return vg.Point{X: x(px), Y: y(py)} }
	var path []vg.Point
	for _, pt := range cv.points {
		path = append(path, at(pt.x, pt.Median))
		c.StrokeLines(draw.LineStyle{Color: faint(cv.color), Width: 1.5}, []vg.Point{at(pt.x, pt.Min), at(pt.x, pt.Max)})
	}
	c.StrokeLines(draw.LineStyle{Color: cv.color, Width: 1.5}, path)
	for _, pt := range path {
		c.DrawGlyph(draw.GlyphStyle{Color: cv.color, Radius: 2.2, Shape: draw.CircleGlyph{}}, pt)
	}
}

func (cv curve) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, ymin = math.Inf(1), math.Inf(1)
	xmax, ymax = math.Inf(-1), math.Inf(-1)
	for _, pt := range cv.points {
		xmin, xmax = min(xmin, pt.x), max(xmax, pt.x)
		ymin, ymax = min(ymin, pt.Min), max(ymax, pt.Max)
	}
	return xmin, xmax, ymin, ymax
}

// faint returns a translucent color.
func faint(c color.Color) color.Color {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	n.A = 0x60
	return n
}

// drawn returns the panels that have lines, and their entrants without
// repetition.
func drawn(panels ...panel) ([]panel, []string) {
	var with []panel
	var entrants []string
	seen := make(map[string]bool)
	for _, p := range panels {
		if len(p.lines) == 0 {
			continue
		}
		with = append(with, p)
		for _, l := range p.lines {
			if !seen[l.entrant] {
				seen[l.entrant] = true
				entrants = append(entrants, l.entrant)
			}
		}
	}
	return with, entrants
}

// beside returns a function that draws panels side by side.
func beside(panels []panel) func(draw.Canvas, Theme) {
	return func(c draw.Canvas, t Theme) {
		tiles := draw.Tiles{Cols: len(panels), Rows: 1, PadX: 16}
		for i, p := range panels {
			p.draw(tiles.At(c, i, 0), t)
		}
	}
}
