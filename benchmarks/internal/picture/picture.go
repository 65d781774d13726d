// Package picture draws the results of a comparison as SVG, for a README that
// may be read in a light or a dark theme.
package picture

import (
	"bytes"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"example.com/chanio/benchmarks/internal/compare"
)

// width is the width of every picture, about that of a README's text.
const width vg.Length = 640

// A Picture is one drawing.
type Picture struct {
	Name string // the file's name without theme and extension
	Alt  string // a description for the alt attribute

	heading heading
	height  vg.Length
	draw    func(draw.Canvas, Theme) // below the heading
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
