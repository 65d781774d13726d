package compare

import (
	"fmt"
	"io"
	"strings"
)

// WriteSummary writes what a README shows of o: when and where it was measured,
// and a small table for each kind of figure.
func (o *Outcome) WriteSummary(w io.Writer) error {
	p := &printer{w: w}
	m := o.Machine
	p.line("Measured on %s, server and load together on %d cores (%s; Linux %s, %s; load average before the run %s): medians of %d runs of %s, interleaved. Messages have 32 bytes. The ratio is chanio's to package net's in the same repetition, with the least and the most.",
		o.Began.UTC().Format("2006-01-02"), m.CPUs, m.CPU, m.Kernel, m.Go, orUnknown(m.Load), o.Repeat, o.Settings.Length)
	o.echoes(p)
	o.multicasts(p)
	o.latencies(p)
	o.memory(p)
	return p.err
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// summaryEchoes are the rows of the table of round trips.
var summaryEchoes = []string{
	"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-echo-100x1", "tcp-echo-1x1-pinned",
	"tls-echo-1x1000", "tls-echo-100x1000", "tls-echo-100x1",
	"udp-echo-1x1000", "udp-echo-100x1000", "udp-echo-100x1",
}

func (o *Outcome) echoes(p *printer) {
	o.rates(p, "echo, messages a second", summaryEchoes, []column{
		{"chanio", Ours}, {"chanio at both ends", BothOurs}, {"package net", Std}, {"netpoll", Netpoll},
	})
}

// summaryMulticasts are the rows of the table of fan-outs.
var summaryMulticasts = []string{
	"tcp-multicast-1", "tcp-multicast-100", "tcp-multicast-5000",
	"tls-multicast-1", "tls-multicast-100",
	"udp-multicast-1", "udp-multicast-100",
}

func (o *Outcome) multicasts(p *printer) {
	o.rates(p, "multicast, messages a second, received by all", summaryMulticasts, []column{
		{"chanio", Ours}, {"chanio at both ends", BothOurs}, {"a channel a member", Std},
		{"the same, writes gathered", Coalesced}, {"the machine's limit", Limit},
	})
}

// A column is an entrant of a table.
type column struct{ title, entrant string }

// rates writes a table of messages per second, with the columns that have a
// figure.
func (o *Outcome) rates(p *printer, title string, scenarios []string, columns []column) {
	columns = o.measured(scenarios, columns)
	header := []string{title}
	for _, c := range columns {
		header = append(header, c.title)
	}
	header = append(header, "ratio")
	for _, s := range scenarios {
		r, ok := o.Result(s, Ours)
		if !ok || r.Figures[Messages].Runs == 0 {
			continue
		}
		cells := []string{plainTitle(r.Title)}
		for _, c := range columns {
			cells = append(cells, o.rate(s, c.entrant))
		}
		p.row(header, append(cells, ratio(r.Ratios[Messages])))
	}
	p.end()
}

func (o *Outcome) measured(scenarios []string, columns []column) []column {
	var has []column
	for _, c := range columns {
		for _, s := range scenarios {
			if o.Figure(s, c.entrant, Messages).Runs > 0 {
				has = append(has, c)
				break
			}
		}
	}
	return has
}

// rate formats messages per second, and the loss if it is visible.
func (o *Outcome) rate(scenario, entrant string) string {
	s := middle(o.Figure(scenario, entrant, Messages))
	if lost := o.Figure(scenario, entrant, Lost).Median; lost >= 0.1 {
		s += fmt.Sprintf(", %.1f %% lost", lost)
	}
	return s
}

// latencies writes how long messages take.
func (o *Outcome) latencies(p *printer) {
	header := []string{"latency, p50 / p99 / p99.9", "chanio", "package net", "a loop over the connections", "netpoll"}
	for _, s := range []string{"tcp-echo-100x1", "tcp-echo-1x1-pinned", "tls-echo-100x1", "udp-echo-100x1", "tcp-fanout-1000"} {
		r, ok := o.Result(s, Ours)
		if !ok || r.Figures[P50].Runs == 0 {
			continue
		}
		p.row(header, []string{plainTitle(r.Title), o.latency(s, Ours), o.latency(s, Std), o.latency(s, Loop), o.latency(s, Netpoll)})
	}
	p.end()
}

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

// memory writes what idle sessions cost.
func (o *Outcome) memory(p *printer) {
	header := []string{"bytes a session, connected / after an echo", "chanio", "package net"}
	for _, s := range []string{"tcp-idle-10000", "tls-idle-10000"} {
		r, ok := o.Result(s, Ours)
		if !ok || r.Figures[Connected].Runs == 0 {
			continue
		}
		p.row(header, []string{plainTitle(r.Title), o.footprint(s, Ours), o.footprint(s, Std)})
	}
	p.end()
}

func (o *Outcome) footprint(scenario, entrant string) string {
	connected, echoed := o.Figure(scenario, entrant, Connected), o.Figure(scenario, entrant, Echoed)
	if connected.Runs == 0 {
		return ""
	}
	return grouped(int(connected.Median)) + " / " + grouped(int(echoed.Median))
}

// plainTitle omits what the table's header says.
func plainTitle(title string) string { return strings.Replace(title, " multicast", "", 1) }
