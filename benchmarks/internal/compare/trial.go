package compare

import (
	"context"
	"runtime"
	"strings"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/trial"
)

const (
	// datagramBuffer is the kernel buffer in bytes that each UDP socket requests.
	// The default holds fewer small datagrams than are in flight.
	datagramBuffer = 4 << 20

	fanoutRate = 20 // messages per second: the members are idle in between
	// fanoutLength is a minimum: percentiles need messages.
	fanoutLength = 2 * time.Second
)

// measure runs one trial of an entrant.
func (s Scenario) measure(ctx context.Context, entrant string, set Settings) (Figures, error) {
	t := s.trial(entrant, set)
	run := t.Measure
	switch s.Job {
	case "idle":
		run = t.MeasureHere
	case "redis":
		run = t.MeasureRedis
	}
	r, err := run(ctx)
	if err != nil {
		return nil, err
	}
	return s.figures(r), nil
}

// trial returns what an entrant has to do.
func (s Scenario) trial(entrant string, set Settings) trial.Trial {
	t := trial.Trial{
		Job: s.Job, Impl: entrant, CPU: -1, Publish: s.Publish,
		Load: load.Config{
			Endpoint: endpoint.Endpoint{Net: s.Net, Deflate: s.Deflate},
			Client:   "plain", Clients: s.Clients, Messages: max(s.InFlight, 1), Size: s.Size,
			Framing: s.Framing, Batch: strings.Contains(entrant, "batches"), Resume: s.Resume,
			Warmup: set.Warmup, Length: set.Length,
		},
	}
	switch {
	case strings.HasSuffix(entrant, "both-ends"):
		t.Impl, t.Load.Client = Ours, Ours
	case strings.HasPrefix(entrant, PacketConn):
		t.Impl = "packetconn"
	case strings.HasPrefix(entrant, Ours):
		t.Impl = Ours
	}
	if s.Size == 0 {
		t.Load.Size = messageSize
	}
	if s.Net == endpoint.UDP {
		t.Load.Endpoint.KernelBuffer = datagramBuffer
	}
	if s.Pinned {
		t.CPU = runtime.NumCPU() - 1
	}
	if s.Job == "fanout" {
		t.Rate, t.Load.Warmup, t.Load.Length = fanoutRate, 0, max(set.Length, fanoutLength)
	}
	return t
}

// figures returns what a report says about the job.
func (s Scenario) figures(r *report.Report) Figures {
	f := make(Figures)
	switch s.Job {
	case "idle":
		f[Connected], f[ConnectedCollected] = r.Idle.Connected.Resident, r.Idle.Connected.Collected
		f[Echoed], f[EchoedCollected] = r.Idle.Echoed.Resident, r.Idle.Echoed.Collected
	case "churn":
		f[Connections] = r.MessageRate()
	case "echo", "multicast", "redis":
		f[Messages] = r.MessageRate()
		if r.Bytes > 0 {
			f[Data] = r.ByteRate()
		}
		if u := r.Server; u != nil && u.CPU > 0 && r.Messages > 0 {
			f[PerCore] = float64(r.Messages) / u.CPU.Seconds()
			f[Cost] = 1e6 / f[PerCore]
		}
		if sent := r.Lost + r.Messages; s.Net == endpoint.UDP && sent > 0 {
			f[Lost] = 100 * float64(r.Lost) / float64(sent)
		}
	}
	if r.Server != nil && s.Job != "fanout" {
		f[Peak] = float64(r.Server.Peak)
	}
	if l := r.Latency; l != nil {
		for m, d := range map[Metric]time.Duration{
			P50: l.P50, P75: l.P75, P90: l.P90, P95: l.P95,
			P99: l.P99, P995: l.P995, P999: l.P999, P9999: l.P9999,
		} {
			if d > 0 {
				f[m] = float64(d) / float64(time.Microsecond)
			}
		}
	}
	return f
}
