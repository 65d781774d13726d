package picture

import (
	"fmt"
	"math"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// newPlot returns a plot without data in the theme's colors.
func newPlot(t Theme) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	p.Title.TextStyle = style(textSize, t.text, xfont.WeightBold)
	p.Title.TextStyle.XAlign, p.Title.TextStyle.YAlign = draw.XCenter, draw.YTop
	p.Title.Padding = 6
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		label, tick := a.Label.TextStyle, a.Tick.Label
		a.Label.TextStyle = style(smallSize, t.muted, xfont.WeightNormal)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = label.XAlign, label.YAlign
		a.Label.Padding = 2
		a.Tick.Label = style(smallSize, t.muted, xfont.WeightNormal)
		a.Tick.Label.XAlign, a.Tick.Label.YAlign = tick.XAlign, tick.YAlign
		a.LineStyle.Color = t.grid
		a.Tick.LineStyle.Color = t.grid
		a.Tick.Length = 3
		a.Padding = 0
	}
	return p
}

// grid returns lines at the ticks.
func grid(t Theme) *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Horizontal.Width = t.grid, vg.Points(0.5)
	g.Vertical.Color, g.Vertical.Width = t.grid, vg.Points(0.5)
	return g
}

// logTicks places ticks at the powers of ten and, if those are few, also at two
// and five times them.
type logTicks struct {
	label func(float64) string
}

func (l logTicks) Ticks(least, most float64) []plot.Tick {
	steps := []float64{1}
	if math.Log10(most/least) < 2.5 {
		steps = []float64{1, 2, 5}
	}
	var ticks []plot.Tick
	for decade := math.Pow(10, math.Floor(math.Log10(least))); decade <= most; decade *= 10 {
		for _, s := range steps {
			if v := decade * s; v >= least*0.999 && v <= most*1.001 {
				ticks = append(ticks, plot.Tick{Value: v, Label: l.label(v)})
			}
		}
	}
	return ticks
}

// micro labels a time in microseconds.
func micro(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%g s", rounded(us/1e6))
	case us >= 1e3:
		return fmt.Sprintf("%g ms", rounded(us/1e3))
	case us >= 1:
		return fmt.Sprintf("%g µs", rounded(us))
	}
	return fmt.Sprintf("%g ns", rounded(us*1e3))
}

// amount labels a number with a decimal unit.
func amount(v float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.of {
			return fmt.Sprintf("%g %s", rounded(v/u.of), u.name)
		}
	}
	return fmt.Sprintf("%g", rounded(v))
}

// amountBytes labels bytes with a decimal unit.
func amountBytes(v float64) string { return amount(v) + "B" }

// rounded keeps three digits: powers of ten computed by multiplication are not
// exact.
func rounded(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-2)
	return math.Round(v/unit) * unit
}
