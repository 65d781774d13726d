package compare

import (
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// columns are the figures in the table of loads, in order.
var columns = []Metric{Messages, P50, P99, P999, Cost, Peak, Lost}

// WriteTables writes o as tables: the loads, other figures, failures, and what
// has become of bars.
func (o *Outcome) WriteTables(w io.Writer, bars []Bar) error {
	p := &printer{w: w}
	p.line("%s, %s, %s x %s, kernel %s, %s, load average before the run %s; %s repetitions of %s: median (least to most), ratios to the base, std unless said, in the same repetition.",
		o.About[aboutDate], o.About[aboutSystem], o.About[aboutCPUs], o.About[aboutCPU], o.About[aboutKernel], o.About[aboutGo],
		o.About[aboutLoad], o.About[aboutRepeat], o.About[aboutLength])
	o.loads(p)
	o.others(p)
	o.failures(p)
	for _, b := range bars {
		if row := b.row(o); row != nil {
			p.row([]string{"bar", "got", "holds"}, row)
		}
	}
	return p.err
}

// each calls f for each scenario and entrant that o has, in the catalogue's
// order, with the metrics that were measured.
func (o *Outcome) each(f func(s Scenario, entrant string, measured []Metric)) {
	metrics := make(map[Figure]map[Metric]bool)
	for _, t := range o.Trials {
		k := Figure{Scenario: t.Scenario, Entrant: t.Entrant}
		if metrics[k] == nil {
			metrics[k] = make(map[Metric]bool)
		}
		for m := range t.Figures {
			metrics[k][m] = true
		}
	}
	for _, s := range Catalogue() {
		for _, e := range s.Entrants {
			if has := metrics[Figure{Scenario: s.Name, Entrant: e}]; has != nil {
				f(s, e, slices.Sorted(maps.Keys(has)))
			}
		}
	}
}

// loads writes a row for each entrant that moved messages.
func (o *Outcome) loads(p *printer) {
	header := []string{"scenario", "server", "ratio"}
	for _, m := range columns {
		header = append(header, string(m))
	}
	o.each(func(s Scenario, entrant string, measured []Metric) {
		if !slices.Contains(measured, Messages) {
			return
		}
		name := s.Name
		cells := []string{name, entrant, o.ratioTo(s, entrant, Messages), span(o.Figure(name, entrant, Messages))}
		for _, m := range columns[1:] {
			cells = append(cells, middle(o.Figure(name, entrant, m)))
		}
		p.row(header, cells)
	})
	p.end()
}

// others writes the figures of everything that is not a load, one per row.
func (o *Outcome) others(p *printer) {
	header := []string{"scenario", "server", "figure", "value", "ratio"}
	o.each(func(s Scenario, entrant string, measured []Metric) {
		if slices.Contains(measured, Messages) {
			return
		}
		for _, m := range measured {
			if !pictured(m) {
				p.row(header, []string{s.Name, entrant, string(m), span(o.Figure(s.Name, entrant, m)), o.ratioTo(s, entrant, m)})
			}
		}
	})
	p.end()
}

// pictured reports whether m is for pictures only: all percentiles would not make
// a table more readable.
func pictured(m Metric) bool {
	return strings.HasPrefix(string(m), "p") && m != P50 && m != P99 && m != P999
}

// ratioTo formats a figure's ratio to the base.
func (o *Outcome) ratioTo(s Scenario, entrant string, m Metric) string {
	if entrant == s.Base {
		return "base"
	}
	return ratio(o.Ratio(s, entrant, m))
}

func (o *Outcome) failures(p *printer) {
	header := []string{"scenario", "server", "failed", "times"}
	inCell := strings.NewReplacer("|", "/", "\n", " ")
	o.each(func(s Scenario, entrant string, _ []Metric) {
		times := make(map[string]int)
		for _, t := range o.Trials {
			if t.Scenario == s.Name && t.Entrant == entrant && t.Err != "" {
				times[t.Err]++
			}
		}
		for _, why := range slices.Sorted(maps.Keys(times)) {
			p.row(header, []string{s.Name, entrant, inCell.Replace(why), strconv.Itoa(times[why])})
		}
	})
	p.end()
}
