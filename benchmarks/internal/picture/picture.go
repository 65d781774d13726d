// Package picture draws what a comparison has measured, as SVG for a README that
// is read in a light and in a dark theme.
package picture

import (
	"bytes"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"example.com/chanio/benchmarks/internal/compare"
)

// width is every picture's: about that of the text of a README.
const width vg.Length = 640

// A Picture is one drawing.
type Picture struct {
	Name string // of its file, without theme and extension
	Alt  string // what it shows, in words

	heading heading
	height  vg.Length
	draw    func(draw.Canvas, Theme) // below the heading
}

// Of returns the pictures that o has the figures for.
func Of(o *compare.Outcome) []Picture {
	var all []Picture
	for _, of := range []func(*compare.Outcome) (Picture, bool){throughput, latency, clients, sizes} {
		if p, ok := of(o); ok {
			all = append(all, p)
		}
	}
	return all
}

// SVG returns p in a theme.
func (p Picture) SVG(t Theme) ([]byte, error) {
	canvas := vgsvg.New(width, p.height)
	c := draw.New(canvas)
	c.FillPolygon(t.background, []vg.Point{
		c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y},
	})
	c = draw.Crop(c, margin, -margin, margin, -margin)
	p.draw(p.heading.draw(c, t), t)

	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return nil, err
	}
	return withFallback(buf.Bytes()), nil
}
