package compare

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// columns are the figures in the table of loads, in order.
var columns = []Metric{Messages, P50, P99, P999, ServerCPU, Cost, Peak, Lost}

// pictured are figures for pictures only. They would not make a table more
// readable.
var pictured = []Metric{P75, P90, P95, P995, P9999}

// WriteMarkdown writes o as tables: the loads, other figures, failures, bars.
func (o *Outcome) WriteMarkdown(w io.Writer) error {
	p := &printer{w: w}
	m := o.Machine
	p.line("%s, %s, %d x %s, kernel %s, %s, load average before the run %s; %d repetitions of %v: median (least to most), ratios to the base, std unless said, in the same repetition.",
		o.Began.UTC().Format("2006-01-02"), m.System, m.CPUs, m.CPU, m.Kernel, m.Go, orUnknown(m.Load), o.Repeat, o.Settings.Length)
	o.loads(p)
	o.others(p)
	o.failures(p)
	o.bars(p)
	return p.err
}

// loads writes a row for each result that moved messages.
func (o *Outcome) loads(p *printer) {
	header := []string{"scenario", "server", "ratio"}
	for _, m := range columns {
		header = append(header, string(m))
	}
	for _, r := range o.Results {
		if r.Figures[Messages].Runs == 0 {
			continue
		}
		cells := []string{r.Scenario, r.Entrant, r.ratio(Messages), span(r.Figures[Messages])}
		for _, m := range columns[1:] {
			cells = append(cells, middle(r.Figures[m]))
		}
		p.row(header, cells)
	}
	p.end()
}

// others writes the figures of everything that is not a load, one per row.
func (o *Outcome) others(p *printer) {
	header := []string{"scenario", "server", "figure", "value", "ratio"}
	for _, r := range o.Results {
		if r.Figures[Messages].Runs > 0 {
			continue
		}
		for _, m := range slices.Sorted(maps.Keys(r.Figures)) {
			if slices.Contains(pictured, m) {
				continue
			}
			p.row(header, []string{r.Scenario, r.Entrant, string(m), span(r.Figures[m]), r.ratio(m)})
		}
	}
	p.end()
}

// ratio formats a figure's ratio to the base.
func (r Result) ratio(m Metric) string {
	switch q, measured := r.Ratios[m]; {
	case r.Entrant == r.Base:
		return "base"
	case measured:
		return ratio(q)
	}
	return ""
}

func (o *Outcome) failures(p *printer) {
	header := []string{"scenario", "server", "failed", "times"}
	for _, r := range o.Results {
		for _, why := range slices.Sorted(maps.Keys(r.Failures)) {
			p.row(header, []string{r.Scenario, r.Entrant, inCell.Replace(why), strconv.Itoa(r.Failures[why])})
		}
	}
	p.end()
}

func (o *Outcome) bars(p *printer) {
	header := []string{"bar", "want", "got", "holds"}
	for _, v := range o.Verdicts {
		p.row(header, []string{v.what(), v.Want, v.got(), v.word()})
	}
	p.end()
}

// inCell escapes text for a table cell.
var inCell = strings.NewReplacer("|", "/", "\n", " ")

// what describes the bar.
func (v Verdict) what() string {
	s := fmt.Sprintf("%s, %s: %s", v.Figure.Scenario, v.Figure.Entrant, v.Figure.Metric)
	switch {
	case v.To == nil:
		return s
	case v.To.Scenario == v.Figure.Scenario:
		return s + " to " + v.To.Entrant
	}
	return s + " to " + v.To.Scenario + ", " + v.To.Entrant
}

func (v Verdict) got() string {
	if v.To != nil {
		return ratio(v.Got)
	}
	return span(v.Got)
}

func (v Verdict) word() string {
	switch {
	case v.Got.Runs == 0:
		return "not measured"
	case v.Stated:
		return "for the record"
	case v.Tried:
		return "yes, the harder one too"
	case v.Holds:
		return "yes"
	}
	return "**no**"
}

// printer writes tables and keeps the first error.
type printer struct {
	w   io.Writer
	in  bool // inside a table
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// row writes a row, preceded by the header if it is the table's first. A table
// without rows is not written at all.
func (p *printer) row(header, cells []string) {
	if !p.in {
		p.line("\n| %s |", strings.Join(header, " | "))
		p.line("|%s", strings.Repeat(" --- |", len(header)))
		p.in = true
	}
	p.line("| %s |", strings.Join(cells, " | "))
}

func (p *printer) end() { p.in = false }
