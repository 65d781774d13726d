package compare

import (
	"slices"
	"strings"
)

// The metrics in tables, in order. The first of them by which a scenario's
// entrants are compared has a table for these scenarios.
var (
	compared = []Metric{Messages, Connections, Connected, P50}
	shown    = []Metric{Echoed, P50, P99, P999, Cost, Peak, Lost}
)

// Tables returns o in Markdown: the figures of each kind of scenario, what
// failed, and what has become of bars.
func (o Outcome) Tables(bars []Bar) string {
	var text strings.Builder
	text.WriteString(o.Expand("${date}, ${system}, ${cpus} x ${cpu}, kernel ${kernel}, ${go}, load average before the run ${load-average}; " +
		"${repetitions} repetitions of ${length}: median (least to most), ratios to the base, std unless said, in the same repetition.\n"))
	for _, m := range compared {
		text.WriteString(o.table(m))
	}
	var failures, verdicts [][]string
	for _, t := range o {
		if why := t.GetConfig(failure); why != "" {
			failures = append(failures, []string{t.Name.String(), why})
		}
	}
	for _, b := range bars {
		if row := b.row(o); row != nil {
			verdicts = append(verdicts, row)
		}
	}
	return text.String() + Table([]string{"trial", "failed"}, failures) + Table([]string{"bar", "got", "holds"}, verdicts)
}

// table returns the table of the scenarios whose entrants are compared by first.
func (o Outcome) table(first Metric) string {
	others := slices.DeleteFunc(slices.Clone(shown), func(m Metric) bool { return m == first })
	header := []string{"scenario", "server", "ratio", string(first)}
	for _, m := range others {
		header = append(header, string(m))
	}
	var rows [][]string
	for _, s := range Catalogue() {
		if s.compared() != first {
			continue
		}
		for _, e := range s.Entrants {
			figure := func(m Metric) Spread { return o.Figure(s, e, m) }
			row := []string{s.Name, e, o.Ratio(s, e, first).Whole(Quotient), figure(first).Whole(first.Format)}
			if e == s.Base {
				row[2] = "base"
			}
			for _, m := range others {
				row = append(row, figure(m).Middle(m.Format))
			}
			if figure(first).Runs > 0 {
				rows = append(rows, row)
			}
		}
	}
	return Table(header, rows)
}

// compared returns the metric by which the entrants of s are compared.
func (s Scenario) compared() Metric {
	switch s.Config.Job {
	case "idle":
		return Connected
	case "churn":
		return Connections
	case "fanout":
		return P50
	}
	return Messages
}

// Table returns rows as Markdown, without the columns in which all are empty.
// Without rows it returns nothing.
func Table(header []string, rows [][]string) string {
	if len(rows) == 0 {
		return ""
	}
	rule := slices.Repeat([]string{"---"}, len(header))
	inCell := strings.NewReplacer("|", "/", "\n", " ")
	var text strings.Builder
	text.WriteString("\n")
	for _, row := range slices.Concat([][]string{header, rule}, rows) {
		for i, cell := range row {
			if slices.ContainsFunc(rows, func(r []string) bool { return r[i] != "" }) {
				text.WriteString("| " + inCell.Replace(cell) + " ")
			}
		}
		text.WriteString("|\n")
	}
	return text.String()
}
