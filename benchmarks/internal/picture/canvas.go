package picture

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"

	"example.com/chanio/benchmarks/internal/compare"
)

// width is the width of every picture, about that of a README's text.
const width = 640

// An entrant's look: its name in a legend, and its color in a light and in a
// dark scheme.
type look struct{ entrant, label, light, dark string }

// looks are in the order of a legend.
var looks = []look{
	{compare.Ours, "chanio", "#0969da", "#4493f8"},
	{compare.Batches, "chanio, batches", "#0a3069", "#a5d6ff"},
	{compare.BothOurs, "chanio at both ends", "#54aeff", "#79c0ff"},
	{"std", "package net", "#6e7781", "#9198a1"},
	{"coalesced", "package net, writes gathered", "#8250df", "#bc8cff"},
	{"loop", "a loop over the connections", "#1a7f37", "#3fb950"},
	{"netpoll", "netpoll", "#d4782f", "#f0883e"},
}

// classOf returns the CSS class of an entrant.
func classOf(entrant string) string {
	return fmt.Sprintf("e%d", slices.IndexFunc(looks, func(l look) bool { return l.entrant == entrant }))
}

// A canvas is an SVG drawing whose colors follow the reader's color scheme.
type canvas struct{ strings.Builder }

func (c *canvas) style() {
	light, dark := "", ""
	for _, l := range looks {
		rule := "." + classOf(l.entrant) + "{fill:%s;stroke:%[1]s}"
		light += fmt.Sprintf(rule, l.light)
		dark += fmt.Sprintf(rule, l.dark)
	}
	const base = ".b{fill:%s}.t{fill:%s}.m{fill:%s}.g{stroke:%s}.a{stroke:%[2]s}"
	light = fmt.Sprintf(base, "#ffffff", "#1f2328", "#59636e", "#d8dee4") + light
	dark = fmt.Sprintf(base, "#0d1117", "#f0f6fc", "#9198a1", "#30363d") + dark
	fmt.Fprintf(c, "<style>text{font:10px Liberation Sans,Arial,Helvetica,sans-serif}.h{font-size:13px;font-weight:bold}"+
		"path.l{fill:none;stroke-width:1.5}.w{stroke-width:1.5;stroke-opacity:.4}.n{stroke-width:0}%s@media(prefers-color-scheme:dark){%s}</style>\n", light, dark)
}

// text writes s at a point, which is its start, middle or end.
func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(s))
}

func (c *canvas) line(x0, y0, x1, y1 float64, class string) {
	fmt.Fprintf(c, `<path d="M%.1f %.1fL%.1f %.1f" class="%s"/>`+"\n", x0, y0, x1, y1, class)
}

func (c *canvas) box(x, y, w, h float64, class string) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" class="%s n"/>`+"\n", x, y, w, h, class)
}

// A scale maps values to points.
type scale struct{ least, most, from, to float64 }

func (s scale) at(v float64) float64 {
	return s.from + (s.to-s.from)*(v-s.least)/(s.most-s.least)
}

// A tick is a labeled value of an axis.
type tick struct {
	at    float64
	label string
}

// logTicks returns ticks at the powers of ten between two decimal logarithms
// and, if those are few, also at two and five times them.
func logTicks(least, most float64, label func(float64) string) []tick {
	steps := []float64{1}
	if most-least < 2.5 {
		steps = []float64{1, 2, 5}
	}
	var ticks []tick
	for decade := math.Floor(least); decade <= most; decade++ {
		for _, s := range steps {
			if at := decade + math.Log10(s); at >= least && at <= most {
				ticks = append(ticks, tick{at, label(s * math.Pow(10, decade))})
			}
		}
	}
	return ticks
}

// scaled labels a number with the last of units, each a base greater than the one
// before, that keeps it above 1.
func scaled(v, base float64, units ...string) string {
	for len(units) > 1 && v >= base*0.999 {
		v, units = v/base, units[1:]
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g %s", v, units[0]))
}

func micro(us float64) string { return scaled(us*1e3, 1000, "ns", "µs", "ms", "s") }

func amount(v float64) string { return scaled(v, 1000, "", "k", "M", "G") }

func amountBytes(v float64) string { return scaled(v, 1000, "B", "kB", "MB", "GB") }

func binary(v float64) string { return scaled(v, 1024, "", "Ki", "Mi") }
