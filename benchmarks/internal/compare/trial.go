package compare

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/trial"
)

// A Metric names a figure by its unit, in the words of Go's benchmark format.
type Metric string

// Metrics that are shown or judged. Not every scenario has all of them.
const (
	Messages    Metric = "messages/s"
	Data        Metric = "B/s"
	Lost        Metric = "lost-%"
	P50         Metric = "p50-us"
	P99         Metric = "p99-us"
	P999        Metric = "p99.9-us"
	PerCore     Metric = "messages/server-CPU-s"
	Cost        Metric = "server-CPU-us/message"
	Peak        Metric = "server-peak-B"
	Connections Metric = "connections/s"
	Connected   Metric = "connected-B/session"
	Echoed      Metric = "echoed-B/session" // after an echo
)

// Format formats a value in the unit that ends the metric's name, or in its
// divisor's.
func (m Metric) Format(v float64) string {
	switch {
	case strings.Contains(string(m), "-us"):
		return report.Decimal(v/1e6, "s")
	case strings.Contains(string(m), "B"):
		return report.Decimal(v, "B")
	case m == Lost:
		return fmt.Sprintf("%.3g %%", v)
	}
	return report.Count(v)
}

// Settings are common to all trials of a run.
type Settings struct {
	Warmup time.Duration
	Length time.Duration // of one measurement
}

// fanoutLength is a minimum: percentiles need messages.
const fanoutLength = 2 * time.Second

// measure runs one trial of an entrant.
func measure(ctx context.Context, s Scenario, entrant string, set Settings) ([]benchfmt.Value, error) {
	r, err := trial.Measure(ctx, s.config(entrant, set))
	if err != nil {
		return nil, err
	}
	return s.figures(r), nil
}

// config returns what an entrant has to do.
func (s Scenario) config(entrant string, set Settings) bench.Config {
	c := s.Config
	c.Impl, c.Batch, c.Warmup, c.Length = entrant, strings.Contains(entrant, "batches"), set.Warmup, set.Length
	switch {
	case strings.HasSuffix(entrant, "both-ends"):
		c.Impl, c.Client = Ours, Ours
	case strings.HasPrefix(entrant, packetConn):
		c.Impl = "packetconn"
	case strings.HasPrefix(entrant, Ours):
		c.Impl = Ours
	}
	if c.Job == "fanout" {
		c.Warmup, c.Length = 0, max(set.Length, fanoutLength)
	}
	return c
}

// figures returns what a report says about the job.
func (s Scenario) figures(r *report.Report) (all []benchfmt.Value) {
	add := func(m Metric, v float64) { all = append(all, benchfmt.Value{Value: v, Unit: string(m)}) }
	switch s.Config.Job {
	case "idle":
		add(Connected, r.Idle.Connected)
		add(Echoed, r.Idle.Echoed)
	case "churn":
		add(Connections, r.MessageRate())
	case "echo", "multicast", "redis":
		add(Messages, r.MessageRate())
		if r.Bytes > 0 {
			add(Data, r.ByteRate())
		}
		if u := r.Server; u != nil && u.CPU > 0 && r.Messages > 0 {
			perCore := float64(r.Messages) / u.CPU.Seconds()
			add(PerCore, perCore)
			add(Cost, 1e6/perCore)
		}
		if sent := r.Lost + r.Messages; s.Config.Datagrams() && sent > 0 {
			add(Lost, 100*float64(r.Lost)/float64(sent))
		}
	}
	if r.Server != nil && s.Config.Job != "fanout" {
		add(Peak, float64(r.Server.Peak))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Latency)) {
		if d := r.Latency[name]; d > 0 && name != "max" {
			add(Metric(name+"-us"), float64(d)/float64(time.Microsecond))
		}
	}
	return all
}
