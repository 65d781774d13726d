package results

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/compare"
	"example.com/chanio/benchmarks/internal/report"
)

// A look is how people see an entrant: a name, and a color in a light and in a
// dark scheme.
type look struct{ entrant, label, light, dark string }

// looks are in the order of columns and legends. An entrant without a color is in
// no picture.
var looks = []look{
	{compare.Ours, "chanio", "#0969da", "#4493f8"},
	{compare.Batches, "chanio, batches", "#0a3069", "#a5d6ff"},
	{compare.BothOurs, "chanio at both ends", "#54aeff", "#79c0ff"},
	{"std", "package net", "#6e7781", "#9198a1"},
	{"coalesced", "package net, writes gathered", "#8250df", "#bc8cff"},
	{"loop", "a loop over the connections", "#1a7f37", "#3fb950"},
	{"netpoll", "netpoll", "#d4782f", "#f0883e"},
	{"limit", "the machine's limit", "", ""},
	{"gorilla", "gorilla", "", ""},
	{"coder", "coder", "", ""},
	{"gws", "gws", "", ""},
}

// A table of a README has a row for each scenario that was measured and a column
// for each entrant that was in any of them.
type table struct {
	title               string
	scenarios, entrants string // expressions that their names match
	ratio               bool   // of messages a second, as the last column
	cell                func(o *compare.Outcome, scenario, entrant string) string
}

var tables = []table{
	{"echo, messages a second", `^(tcp|tls|udp)-echo-(100x1|1x1000|100x1000)$|^tcp-echo-1x1-pinned$|^tcp-lines-`, "", true, rate},
	{"multicast, messages a second, received by all", `^(tcp|tls|udp)-multicast-`, "", true, rate},
	{"WebSocket, messages a second", `^ws-echo-100x|^ws-multicast-\d*(|-deflate)$`, "", false, rate},
	{"latency, p50 / p99 / p99.9", `^(tcp|tls|udp)-echo-100x1$|^tcp-(echo-1x1-pinned|fanout-1000)$`, "^(chanio|std|loop|netpoll)$", false, latencies},
	{"bytes a session, connected / after an echo", `^(tcp|tls)-idle-10000$`, "", false, footprint},
}

// of returns the table as Markdown.
func (t table) of(o *compare.Outcome) string {
	header, rows := []string{t.title}, [][]string(nil)
	entrants := regexp.MustCompile(t.entrants)
	for _, l := range looks {
		header = append(header, l.label)
	}
	header = append(header, "ratio")
	for _, s := range selected("readme", t.scenarios) {
		row := []string{strings.Replace(s.Title(), " multicast", "", 1)} // the header says so
		for _, l := range looks {
			cell := ""
			if entrants.MatchString(l.entrant) {
				cell = t.cell(o, s.Name, l.entrant)
			}
			row = append(row, cell)
		}
		ratio := ""
		if t.ratio {
			ratio = o.Ratio(s, compare.Ours, compare.Messages).Whole(compare.Quotient)
		}
		if row[1] != "" {
			rows = append(rows, append(row, ratio))
		}
	}
	return compare.Table(header, rows)
}

// selected returns the scenarios of a set whose names match expr.
func selected(set, expr string) []compare.Scenario {
	s, err := compare.Select(set, expr)
	if err != nil {
		panic(err) // a table or a picture is about what does not exist
	}
	return s
}

// rate formats messages per second, and the loss if it is visible.
func rate(o *compare.Outcome, scenario, entrant string) string {
	s := o.Figure(scenario, entrant, compare.Messages).Middle(report.Count)
	if lost := o.Figure(scenario, entrant, compare.Lost).Median; lost >= 0.1 {
		s += fmt.Sprintf(", %.1f %% lost", lost)
	}
	return s
}

func latencies(o *compare.Outcome, scenario, entrant string) string {
	return figures(o, scenario, entrant, micro, compare.P50, compare.P99, compare.P999)
}

func footprint(o *compare.Outcome, scenario, entrant string) string {
	return figures(o, scenario, entrant, report.Count, compare.Connected, compare.Echoed)
}

// figures returns the medians of metrics, or nothing if one was not measured.
func figures(o *compare.Outcome, scenario, entrant string, format func(float64) string, metrics ...compare.Metric) string {
	var all []string
	for _, m := range metrics {
		f := o.Figure(scenario, entrant, m)
		if f.Runs == 0 {
			return ""
		}
		all = append(all, format(f.Median))
	}
	return strings.Join(all, " / ")
}

// micro formats microseconds.
func micro(us float64) string { return report.Duration(time.Duration(us * float64(time.Microsecond))) }

func decimalBytes(n float64) string { return report.Count(n) + "B" }

// pictures returns those of a README.
func pictures(o *compare.Outcome) []picture {
	all := []picture{
		throughput(o), latency(o),
		growth(o, "clients", "TCP echo, 32 bytes", func(c bench.Config) string { return fmt.Sprint(c.Clients) },
			plot{title: "Server peak memory", label: decimalBytes}, compare.Peak),
		growth(o, "sizes", "TCP echo, 10 clients", func(c bench.Config) string { return report.Bytes(float64(c.Size)) },
			plot{title: "Bytes a second, echoed", label: decimalBytes}, compare.Data),
	}
	for i := range all {
		all[i].says += o.Expand("; median, least and most of ${repetitions}")
	}
	return all
}

// throughput compares messages per second with package net's.
func throughput(o *compare.Outcome) picture {
	p := picture{name: "throughput", title: "Throughput compared with package net", says: "messages a second, 32 bytes; package net is 1"}
	scenarios := selected("readme", `^(tcp|tls|udp)-(echo-1x1000|echo-100x|multicast-(1|100)$)`)
	for _, s := range scenarios {
		p.rows = append(p.rows, s.Title())
	}
	ratio := func(q float64) string { return fmt.Sprintf("%.3g", q) }
	p.plots = []plot{{label: ratio, figure: func(row int, entrant string) compare.Spread {
		return o.Ratio(scenarios[row], entrant, compare.Messages)
	}}}
	return p
}

// latency shows how long messages take, by percentile.
func latency(o *compare.Outcome) picture {
	p := picture{name: "latency", title: "Latency", says: "TCP, 32 bytes, 1 message in flight; so many percent took no longer"}
	percentiles := []string{"50", "90", "99", "99.9", "99.99"}
	for _, q := range percentiles {
		p.rows = append(p.rows, q+" %")
	}
	of := func(title, scenario string, enough int) plot { // percentiles for which there were enough messages
		return plot{title, micro, func(row int, entrant string) compare.Spread {
			if row >= enough {
				return compare.Spread{}
			}
			return o.Figure(scenario, entrant, compare.Metric("p"+percentiles[row]+"-us"))
		}}
	}
	p.plots = []plot{of("Echo round trip, 100 clients", "tcp-echo-100x1", 5), of("Multicast, until the last of 1000 has it", "tcp-fanout-1000", 3)}
	return p
}

// growth shows the CPU time of a message and other figures along a set of
// scenarios.
func growth(o *compare.Outcome, set, of string, row func(bench.Config) string, other plot, m compare.Metric) picture {
	p := picture{name: set, title: "Cost as " + set + " grow", says: of + ", 1 message in flight each"}
	steps := selected(set, "")
	for _, s := range steps {
		p.rows = append(p.rows, row(s.Config))
	}
	figure := func(m compare.Metric) func(int, string) compare.Spread {
		return func(row int, entrant string) compare.Spread { return o.Figure(steps[row].Name, entrant, m) }
	}
	other.figure = figure(m)
	p.plots = []plot{{"Server CPU time a message", micro, figure(compare.Cost)}, other}
	return p
}
