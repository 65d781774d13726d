package results

import (
	"fmt"
	"html"
	"math"
	"strings"

	"example.com/chanio/benchmarks/internal/compare"
)

// A picture compares entrants of scenarios, a row for each, in one or more plots
// side by side.
type picture struct {
	name      string // the file's name without extension
	title     string
	says      string // more of what it shows
	scenarios string // an expression that their names match
	ratio     bool   // to the scenario's base
	plots     []plot
}

// A plot has a dot for the median of each scenario's and entrant's figure, with
// its value, and a stroke from the least to the most. Its scale is logarithmic.
type plot struct {
	title  string
	metric compare.Metric
}

const spreads = "; median, least and most of ${repetitions}"

// alt describes the picture.
func (p picture) alt(o compare.Outcome) string {
	return p.title + ": " + o.Expand(p.says+spreads)
}

// Distances in a picture. Its width is about that of a README's text.
const (
	width  = 640
	margin = 12
	top    = 92  // where rows begin
	step   = 10  // from one entrant to the next
	letter = 5.8 // the width of most
	left   = 132 // where the names of scenarios end and plots begin
)

// style makes the colors follow the reader's color scheme.
func style() string {
	light := colors("#ffffff", "#1f2328", "#59636e", "#d8dee4", func(l look) string { return l.light })
	dark := colors("#0d1117", "#f0f6fc", "#9198a1", "#30363d", func(l look) string { return l.dark })
	return "<style>text{font:10px Liberation Sans,Arial,Helvetica,sans-serif;stroke-width:0}.h{font-size:13px;font-weight:bold}" +
		"path{stroke-width:1.5}.g{stroke-width:1}" + light + "@media(prefers-color-scheme:dark){" + dark + "}</style>\n"
}

// colors returns the rules of a color scheme.
func colors(background, text, muted, grid string, entrant func(look) string) string {
	var rules strings.Builder
	fmt.Fprintf(&rules, ".b{fill:%s}.t{fill:%s}.m{fill:%s}.g{stroke:%s}", background, text, muted, grid)
	for i, l := range looks {
		fmt.Fprintf(&rules, ".e%d{fill:%s;stroke:%[2]s}", i, entrant(l))
	}
	return rules.String()
}

// text draws s at a point, which is its start, middle or end.
func text(x, y float64, anchor, class, s string) string {
	return fmt.Sprintf(`<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`+"\n", x, y, anchor, class, html.EscapeString(s))
}

func line(x0, y0, x1, y1 float64, class string) string {
	return fmt.Sprintf(`<path d="M%.1f %.1fL%.1f %.1f" class="%s"/>`+"\n", x0, y0, x1, y1, class)
}

func dot(x, y float64, class string) string {
	return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="2.5" class="%s"/>`+"\n", x, y, class)
}

// A place is where a figure is drawn.
type place struct {
	look int
	y    float64
	compare.Spread
}

// svg returns the picture, or nothing if there are no figures.
func (p picture) svg(o compare.Outcome) string {
	figure := o.Figure
	if p.ratio {
		figure = o.Ratio
	}
	y := float64(top)
	places := make([][]place, len(p.plots))
	seen := make(map[int]bool)
	var body strings.Builder
	for _, s := range selected(p.scenarios) {
		first := y
		for i, l := range looks {
			drawn := false
			for n, plot := range p.plots {
				// A figure of zero has no place on a logarithmic scale.
				if f := figure(s, l.entrant, plot.metric); f.Runs > 0 && f.Min > 0 && !math.IsInf(f.Max, 1) {
					places[n] = append(places[n], place{i, y, f})
					drawn, seen[i] = true, true
				}
			}
			if drawn {
				y += step
			}
		}
		if y > first {
			body.WriteString(text(left-margin, (first+y-step)/2+3, "end", "t", s.Name))
			y += step
		}
	}
	if len(seen) == 0 {
		return ""
	}
	w := float64(width-margin-left) / float64(len(p.plots))
	for n, plot := range p.plots {
		format := plot.metric.Format
		if p.ratio {
			format = compare.Quotient
		}
		body.WriteString(plot.draw(left+w*float64(n), w, y-step, places[n], format))
	}
	var head strings.Builder
	fmt.Fprintf(&head, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%[1]d" height="%.0[2]f">`+"\n", width, y+margin)
	fmt.Fprintf(&head, `%s<rect width="%d" height="%.0f" class="b"/>`+"\n", style(), width, y+margin)
	head.WriteString(text(margin, 24, "start", "t h", p.title) + text(margin, 40, "start", "m", o.Expand(p.says+spreads)))
	x := float64(margin)
	for i, l := range looks {
		if seen[i] {
			head.WriteString(dot(x+3, 54.5, fmt.Sprint("e", i)) + text(x+10, 58, "start", "t", l.entrant))
			x += 24 + letter*float64(len(l.entrant))
		}
	}
	return head.String() + body.String() + "</svg>\n"
}

// draw draws the plot w wide and down to bottom.
func (p plot) draw(left, w, bottom float64, places []place, format func(float64) string) string {
	least, most := math.Inf(1), math.Inf(-1)
	for _, at := range places {
		least, most = min(least, math.Log10(at.Min)), max(most, math.Log10(at.Max))
	}
	least, most = least-0.05, max(most, least+1)
	const room = 50 // for the value beside a stroke
	x := func(v float64) float64 { return left + (w-room)*(math.Log10(v)-least)/(most-least) }
	var body strings.Builder
	body.WriteString(text(left+(w-room)/2, top-12, "middle", "t", p.title))
	for decade := math.Ceil(least); decade <= most; decade++ {
		v := math.Pow(10, decade)
		body.WriteString(line(x(v), top-6, x(v), bottom, "g") + text(x(v), bottom+12, "middle", "m", format(v)))
	}
	for _, at := range places {
		class := fmt.Sprint("e", at.look)
		body.WriteString(line(x(at.Min), at.y, x(at.Max), at.y, class) + dot(x(at.Median), at.y, class))
		body.WriteString(text(x(at.Max)+5, at.y+3.5, "start", "t", format(at.Median)))
	}
	return body.String()
}
