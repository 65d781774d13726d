package compare

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteSummary writes what a README shows of o: when and where it was measured,
// and a small table for each kind of figure.
func (o *Outcome) WriteSummary(w io.Writer) error {
	p := &printer{w: w}
	p.line("Measured on %s, server and load together on %s cores (%s; Linux %s, %s; load average before the run %s): medians of %s runs of %s, interleaved. Messages have 32 bytes. The ratio is chanio's to package net's in the same repetition, with the least and the most.",
		o.About[aboutDate], o.About[aboutCPUs], o.About[aboutCPU], o.About[aboutKernel], o.About[aboutGo], o.About[aboutLoad], o.About[aboutRepeat], o.About[aboutLength])
	o.table(p, "echo, messages a second", summaryEchoes, []column{
		{"chanio", Ours}, {"chanio, batches", Batches}, {"chanio at both ends", BothOurs}, {"package net", "std"}, {"netpoll", "netpoll"},
	}, o.rate, o.ratioOf)
	o.table(p, "multicast, messages a second, received by all", summaryMulticasts, []column{
		{"chanio", Ours}, {"chanio at both ends", BothOurs}, {"a channel a member", "std"},
		{"the same, writes gathered", "coalesced"}, {"the machine's limit", "limit"},
	}, o.rate, o.ratioOf)
	o.table(p, "WebSocket, messages a second", summaryWebSockets, []column{
		{"chanio", Ours}, {"chanio, batches", Batches}, {"gorilla", "gorilla"}, {"coder", "coder"}, {"gws", "gws"},
	}, o.rate, nil)
	o.table(p, "latency, p50 / p99 / p99.9", summaryLatencies, []column{
		{"chanio", Ours}, {"package net", "std"}, {"a loop over the connections", "loop"}, {"netpoll", "netpoll"},
	}, o.latency, nil)
	o.table(p, "bytes a session, connected / after an echo", []string{"tcp-idle-10000", "tls-idle-10000"}, []column{
		{"chanio", Ours}, {"package net", "std"},
	}, o.footprint, nil)
	return p.err
}

// The rows of the tables.
var (
	summaryEchoes = []string{
		"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-echo-100x1", "tcp-echo-1x1-pinned",
		"tcp-lines-1x1000", "tcp-lines-100x1000",
		"tls-echo-1x1000", "tls-echo-100x1000", "tls-echo-100x1",
		"udp-echo-1x1000", "udp-echo-100x1000", "udp-echo-100x1",
	}
	summaryMulticasts = []string{
		"tcp-multicast-1", "tcp-multicast-100", "tcp-multicast-5000",
		"tls-multicast-1", "tls-multicast-100",
		"udp-multicast-1", "udp-multicast-100",
	}
	summaryWebSockets = []string{
		"ws-echo-100x1", "ws-echo-100x1000", "ws-multicast-100", "ws-multicast-5000", "ws-multicast-100-deflate",
	}
	summaryLatencies = []string{"tcp-echo-100x1", "tcp-echo-1x1-pinned", "tls-echo-100x1", "udp-echo-100x1", "tcp-fanout-1000"}
)

// A column is an entrant of a table.
type column struct{ title, entrant string }

// table writes the scenarios that were measured, with the columns of which any
// was, and a ratio last if there is one.
func (o *Outcome) table(p *printer, title string, scenarios []string, columns []column,
	cell func(scenario, entrant string) string, ratio func(Scenario) string) {
	header := []string{title}
	var shown []column
	for _, c := range columns {
		for _, s := range scenarios {
			if cell(s, c.entrant) != "" {
				header, shown = append(header, c.title), append(shown, c)
				break
			}
		}
	}
	if ratio != nil {
		header = append(header, "ratio")
	}
	for _, s := range Catalogue() {
		name := s.Name
		if !slices.Contains(scenarios, name) || cell(name, Ours) == "" {
			continue
		}
		cells := []string{strings.Replace(s.Title(), " multicast", "", 1)} // the header says so
		for _, c := range shown {
			cells = append(cells, cell(name, c.entrant))
		}
		if ratio != nil {
			cells = append(cells, ratio(s))
		}
		p.row(header, cells)
	}
	p.end()
}

// rate formats messages per second, and the loss if it is visible.
func (o *Outcome) rate(scenario, entrant string) string {
	s := middle(o.Figure(scenario, entrant, Messages))
	if lost := o.Figure(scenario, entrant, Lost).Median; lost >= 0.1 {
		s += fmt.Sprintf(", %.1f %% lost", lost)
	}
	return s
}

func (o *Outcome) ratioOf(s Scenario) string { return ratio(o.Ratio(s, Ours, Messages)) }

func (o *Outcome) latency(scenario, entrant string) string {
	var times []string
	for _, m := range []Metric{P50, P99, P999} {
		f := o.Figure(scenario, entrant, m)
		if f.Runs == 0 {
			return ""
		}
		times = append(times, micro(f.Median))
	}
	return strings.Join(times, " / ")
}

func (o *Outcome) footprint(scenario, entrant string) string {
	connected, echoed := o.Figure(scenario, entrant, Connected), o.Figure(scenario, entrant, Echoed)
	if connected.Runs == 0 {
		return ""
	}
	return grouped(int(connected.Median)) + " / " + grouped(int(echoed.Median))
}
