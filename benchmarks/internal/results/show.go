package results

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/compare"
	"example.com/chanio/benchmarks/internal/report"
)

// A look is the color of an entrant in a light and in a dark scheme.
type look struct{ entrant, light, dark string }

// looks are in the order of a legend.
var looks = []look{
	{compare.Ours, "#0969da", "#4493f8"},
	{compare.Batches, "#0a3069", "#a5d6ff"},
	{compare.BothOurs, "#54aeff", "#79c0ff"},
	{"std", "#6e7781", "#9198a1"},
	{"coalesced", "#8250df", "#bc8cff"},
	{"loop", "#1a7f37", "#3fb950"},
	{"netpoll", "#d4782f", "#f0883e"},
}

// A table has the medians of metrics for each scenario and entrant.
type table struct {
	title               string
	scenarios, entrants string // expressions that their names match
	metrics             []compare.Metric
}

var tables = []table{
	{"messages a second, and how many were lost", `^(tcp|tls|udp)-echo-(100x1|1x1000|100x1000)$|^tcp-echo-1x1-pinned$|^tcp-lines-`,
		`^chanio(|-batches|-both-ends)$|^std$|^netpoll$`, []compare.Metric{compare.Messages, compare.Lost}},
	{"messages a second that members received, and how many were lost", `^(tcp|tls|udp)-multicast-`,
		"", []compare.Metric{compare.Messages, compare.Lost}},
	{"messages a second over WebSocket", `^ws-echo-100x|^ws-multicast-\d*(|-deflate)$`,
		"", []compare.Metric{compare.Messages}},
	{"latency, p50 / p99 / p99.9", `^(tcp|tls|udp)-echo-100x1$|^tcp-(echo-1x1-pinned|fanout-1000)$`,
		"^(chanio|std|loop|netpoll)$", []compare.Metric{compare.P50, compare.P99, compare.P999}},
	{"memory a session, connected / after an echo", `^(tcp|tls)-idle-10000$`,
		"", []compare.Metric{compare.Connected, compare.Echoed}},
}

// of returns the table as Markdown.
func (t table) of(o compare.Outcome) string {
	header, rows := []string{t.title}, [][]string(nil)
	scenarios, entrants := selected("readme", t.scenarios), regexp.MustCompile(t.entrants)
	for _, s := range scenarios {
		for _, e := range s.Entrants {
			if entrants.MatchString(e) && !slices.Contains(header, e) {
				header = append(header, e)
			}
		}
	}
	for _, s := range scenarios {
		row := []string{s.Name}
		for _, e := range header[1:] {
			var figures []string
			for _, m := range t.metrics {
				if f := o.Figure(s.Name, e, m); f.Runs > 0 {
					figures = append(figures, m.Format(f.Median))
				}
			}
			row = append(row, strings.Join(figures, " / "))
		}
		if strings.Join(row[1:], "") != "" {
			rows = append(rows, row)
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

// pictures returns those of a README.
func pictures(o compare.Outcome) []picture {
	all := []picture{
		throughput(o), latency(o),
		growth(o, "clients", "TCP echo, 32 bytes", func(c bench.Config) string { return fmt.Sprint(c.Clients) },
			"Server peak memory", compare.Peak),
		growth(o, "sizes", "TCP echo, 10 clients", func(c bench.Config) string { return report.Bytes(float64(c.Size)) },
			"Bytes a second, echoed", compare.Data),
	}
	for i := range all {
		all[i].says += o.Expand("; median, least and most of ${repetitions}")
	}
	return all
}

// throughput compares messages per second with package net's.
func throughput(o compare.Outcome) picture {
	p := picture{name: "throughput", title: "Throughput compared with package net", says: "messages a second, 32 bytes; std is 1"}
	scenarios := selected("readme", `^(tcp|tls|udp)-(echo-1x1000|echo-100x|multicast-(1|100)$)|-pinned$|-lines-1`)
	for _, s := range scenarios {
		p.rows = append(p.rows, s.Name)
	}
	p.plots = []plot{{label: compare.Quotient, figure: func(row int, entrant string) compare.Spread {
		return o.Ratio(scenarios[row], entrant, compare.Messages)
	}}}
	return p
}

// latency shows how long messages take, by percentile.
func latency(o compare.Outcome) picture {
	p := picture{name: "latency", title: "Latency", says: "TCP, 32 bytes, 1 message in flight; so many percent took no longer"}
	percentiles := []string{"50", "90", "99", "99.9", "99.99"}
	for _, q := range percentiles {
		p.rows = append(p.rows, q+" %")
	}
	of := func(title, scenario string, enough int) plot { // percentiles for which there were enough messages
		return plot{title, compare.P50.Format, func(row int, entrant string) compare.Spread {
			if row >= enough {
				return compare.Spread{}
			}
			return o.Figure(scenario, entrant, compare.Metric("p"+percentiles[row]+"-us"))
		}}
	}
	p.plots = []plot{of("Echo round trip, 100 clients", "tcp-echo-100x1", 5), of("Multicast, until the last of 1000 has it", "tcp-fanout-1000", 3)}
	return p
}

// growth shows the CPU time of a message and another metric along a set of
// scenarios.
func growth(o compare.Outcome, set, of string, row func(bench.Config) string, title string, m compare.Metric) picture {
	p := picture{name: set, title: "Cost as " + set + " grow", says: of + ", 1 message in flight each"}
	steps := selected(set, "")
	for _, s := range steps {
		p.rows = append(p.rows, row(s.Config))
	}
	plotOf := func(title string, m compare.Metric) plot {
		return plot{title, m.Format, func(row int, entrant string) compare.Spread { return o.Figure(steps[row].Name, entrant, m) }}
	}
	p.plots = []plot{plotOf("Server CPU time a message", compare.Cost), plotOf(title, m)}
	return p
}
