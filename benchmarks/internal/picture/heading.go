package picture

import (
	"bytes"
	"image/color"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

const (
	margin     vg.Length = 12
	titleSize  vg.Length = 13
	textSize   vg.Length = 10
	smallSize  vg.Length = 9
	legendSide vg.Length = 8
)

// A heading is a title, an explanation of one line, and a legend.
type heading struct {
	title, says string
	entrants    []string // of the legend
}

// draw draws h at the top of c and returns the rest of c.
func (h heading) draw(c draw.Canvas, t Theme) draw.Canvas {
	y := c.Max.Y
	put := func(s string, style text.Style, below vg.Length) {
		y -= style.Font.Size
		c.FillText(style, vg.Point{X: c.Min.X, Y: y}, s)
		y -= below
	}
	put(h.title, style(titleSize, t.text, xfont.WeightBold), 5)
	put(h.says, style(textSize, t.muted, xfont.WeightNormal), 7)

	words := style(textSize, t.text, xfont.WeightNormal)
	x := c.Min.X
	y -= legendSide
	for _, e := range h.entrants {
		c.FillPolygon(t.of(e), rectangle(x, y, x+legendSide, y+legendSide))
		x += legendSide + 4
		c.FillText(words, vg.Point{X: x, Y: y}, labels[e])
		x += words.Width(labels[e]) + 14
	}
	return draw.Crop(c, 0, 0, 0, y-8-c.Max.Y)
}

// style returns the style of text that begins at its point.
func style(size vg.Length, c color.Color, weight xfont.Weight) text.Style {
	return text.Style{
		Color:   c,
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size},
		Handler: plot.DefaultTextHandler,
	}
}

// withFallback names fonts of the same width to use if Liberation Sans is not
// installed.
func withFallback(svg []byte) []byte {
	return bytes.ReplaceAll(svg,
		[]byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
}

func rectangle(x0, y0, x1, y1 vg.Length) []vg.Point {
	return []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}
}
