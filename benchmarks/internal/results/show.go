package results

import (
	"regexp"
	"slices"
	"strings"

	"example.com/chanio/benchmarks/internal/compare"
)

// pictures are those of a README.
var pictures = []picture{
	{"throughput", "Throughput compared with package net", "messages a second, 32 bytes; std is 1",
		`^(tcp|tls|udp)-(echo-1x1000|echo-100x|multicast-(1|100)$)|-pinned$|-lines-1`, true, []plot{{"", compare.Messages}}},
	{"latency", "Latency", "32 bytes; so many percent of messages took no longer",
		`^(tcp|tls|udp)-echo-100x1$|-pinned$|^tcp-fanout-1000$`, false, []plot{{"50 %", compare.P50}, {"99 %", compare.P99}, {"99.9 %", compare.P999}}},
	{"clients", "Cost as clients grow", "TCP echo, 32 bytes, 1 message in flight each",
		`^tcp-echo-10*x1$`, false, []plot{{"Server CPU time a message", compare.Cost}, {"Server peak memory", compare.Peak}}},
	{"sizes", "Cost as messages grow", "TCP echo, 10 clients, 1 message in flight each",
		`^tcp-echo-10x1-\d+(|Ki|Mi)B$`, false, []plot{{"Server CPU time a message", compare.Cost}, {"Bytes a second, echoed", compare.Data}}},
}

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
	scenarios, entrants := selected(t.scenarios), regexp.MustCompile(t.entrants)
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
				if f := o.Figure(s, e, m); f.Runs > 0 {
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

// selected returns the scenarios of a README whose names match expr.
func selected(expr string) []compare.Scenario {
	s, err := compare.Select("readme", expr)
	if err != nil {
		panic(err) // a table or a picture is about what does not exist
	}
	return s
}
