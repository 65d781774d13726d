package compare

import (
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

// A Metric names a figure.
type Metric string

// All metrics. Not every scenario has all of them.
const (
	Messages Metric = "messages/s"
	Data     Metric = "bytes/s"
	Lost     Metric = "lost %"

	P50   Metric = "p50 us"
	P75   Metric = "p75 us"
	P90   Metric = "p90 us"
	P95   Metric = "p95 us"
	P99   Metric = "p99 us"
	P995  Metric = "p99.5 us"
	P999  Metric = "p99.9 us"
	P9999 Metric = "p99.99 us"

	ServerCPU Metric = "server CPU s"
	PerCore   Metric = "messages/server CPU s" // throughput per core
	Cost      Metric = "server CPU us a message"
	Peak      Metric = "server peak bytes"
	LoadCPU   Metric = "load CPU s"

	Connected          Metric = "bytes a session, connected"
	ConnectedCollected Metric = "bytes a session, connected and collected"
	Echoed             Metric = "bytes a session, after an echo"
	EchoedCollected    Metric = "bytes a session, after an echo and collected"

	Connections Metric = "connections/s"
)

// A Sample has the figures of one trial.
type Sample map[Metric]float64

// loadSample returns the figures of a load's report.
func loadSample(r *report.Report) Sample {
	s := Sample{Messages: r.MessageRate(), Data: r.ByteRate()}
	s.addLatency(r.Latency)
	s.addServer(r.Server)
	if u := r.Server; u != nil && u.CPUSeconds > 0 && r.Messages > 0 {
		s[PerCore] = float64(r.Messages) / u.CPUSeconds
		s[Cost] = 1e6 * u.CPUSeconds / float64(r.Messages)
	}
	if u := r.Load; u != nil {
		s[LoadCPU] = u.CPUSeconds
	}
	return s
}

// addLatency adds the figures of a latency, if it was measured.
func (s Sample) addLatency(l *report.Percentiles) {
	if l == nil {
		return
	}
	for m, d := range map[Metric]time.Duration{
		P50: l.P50, P75: l.P75, P90: l.P90, P95: l.P95,
		P99: l.P99, P995: l.P995, P999: l.P999, P9999: l.P9999,
	} {
		s[m] = float64(d) / float64(time.Microsecond)
	}
}

// addServer adds the server's usage, if known.
func (s Sample) addServer(u *report.Usage) {
	if u != nil {
		s[ServerCPU], s[Peak] = u.CPUSeconds, float64(u.PeakBytes)
	}
}

// addLoss adds the fraction of the datagrams that was lost.
func (s Sample) addLoss(r *report.Report) {
	if sent := r.Lost + r.Messages; sent > 0 {
		s[Lost] = 100 * float64(r.Lost) / float64(sent)
	}
}
