// Package compare runs the whole matrix of benchmarks, interleaved and
// repeated, and judges the outcome by the bars that the project has set itself.
package compare

import (
	"context"
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

// A Scenario is one job that several entrants do.
type Scenario struct {
	Name     string
	Base     string // the entrant that the others are compared with
	Entrants []Entrant
}

// An Entrant does a scenario's job in one way.
type Entrant struct {
	Name string
	run  func(ctx context.Context, s Settings) (Sample, error)
}

// Settings are what all trials of a run have in common.
type Settings struct {
	Warmup time.Duration `json:"warmup_ns"`
	Length time.Duration `json:"length_ns"` // of one measurement
	CPU    int           `json:"cpu"`       // where pinned scenarios run
}

// A Metric names a figure.
type Metric string

// The figures that there are. Not every scenario has all of them.
const (
	Messages  Metric = "messages/s"
	Data      Metric = "bytes/s"
	P50       Metric = "p50 us"
	P99       Metric = "p99 us"
	P999      Metric = "p99.9 us"
	Lost      Metric = "lost %"
	ServerCPU Metric = "server CPU s"
	Peak      Metric = "server peak bytes"
	LoadCPU   Metric = "load CPU s"
	Errors    Metric = "errors"

	Connected          Metric = "bytes a session, connected"
	ConnectedCollected Metric = "bytes a session, connected and collected"
	Echoed             Metric = "bytes a session, after an echo"
	EchoedCollected    Metric = "bytes a session, after an echo and collected"

	Connections Metric = "connections/s"
)

// A Sample has the figures of one trial.
type Sample map[Metric]float64

// sample returns the figures of a load's report.
func sample(r *report.Report) Sample {
	s := Sample{
		Messages: r.MessageRate(),
		Data:     r.ByteRate(),
		Errors:   float64(r.Errors),
	}
	if l := r.Latency; l != nil {
		s[P50], s[P99], s[P999] = microseconds(l.P50), microseconds(l.P99), microseconds(l.P999)
	}
	if u := r.Server; u != nil {
		s[ServerCPU], s[Peak] = u.CPUSeconds, float64(u.PeakBytes)
	}
	if u := r.Load; u != nil {
		s[LoadCPU] = u.CPUSeconds
	}
	return s
}

// withLoss adds to s which part of the datagrams was lost.
func (s Sample) withLoss(r *report.Report) Sample {
	if sent := r.Lost + r.Messages; sent > 0 {
		s[Lost] = 100 * float64(r.Lost) / float64(sent)
	}
	return s
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
