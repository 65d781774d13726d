package trial

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
)

// Churn is how fast connections come and go: each is dialed, with TLS it has
// its handshake, echoes 32 bytes and is closed.
type Churn struct {
	Connections int                 `json:"connections"`
	Time        time.Duration       `json:"time_ns"`
	Latency     *report.Percentiles `json:"latency"` // of a connection's whole life
	Server      *report.Usage       `json:"server,omitempty"`
}

// Rate returns the connections a second.
func (c *Churn) Rate() float64 { return float64(c.Connections) / c.Time.Seconds() }

// MeasureChurn starts s, an echo server, and has so many workers connect for a
// time. With resume, TLS sessions are resumed.
func MeasureChurn(ctx context.Context, s Server, workers int, resume bool, length time.Duration) (*Churn, error) {
	ctx, cancel := context.WithTimeout(ctx, startup+length)
	defer cancel()
	server, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	c := &churn{server: server, resume: resume, latency: report.NewLatencies(workers)}
	result, err := c.measure(ctx, workers, length)
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	return result, err
}

type churn struct {
	server  *running
	resume  bool // TLS sessions
	latency *report.Latencies
	number  atomic.Int64 // of the next connection
}

func (c *churn) measure(ctx context.Context, workers int, length time.Duration) (*Churn, error) {
	before, usageErr := process.Usage(c.server.PID())
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i := range workers {
		from := c.dialer()
		g.Go(func() error {
			for ctx.Err() == nil && time.Since(began) < length {
				if err := c.connect(ctx, from, c.latency.Shard(i)); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	result := &Churn{
		Connections: int(c.number.Load()),
		Time:        time.Since(began),
		Latency:     c.latency.Percentiles(),
	}
	if after, err := process.Usage(c.server.PID()); err == nil && usageErr == nil {
		result.Server = &report.Usage{CPUSeconds: (after.CPU - before.CPU).Seconds(), PeakBytes: after.Peak}
	}
	return result, nil
}

// dialer returns the endpoint of one worker. With TLS 1.3 a ticket is used once,
// so that each worker resumes what it has begun itself.
func (c *churn) dialer() endpoint.Endpoint {
	e := c.server.endpoint
	if c.resume && e.Net == endpoint.TLS {
		e.ClientTLS = e.ClientTLS.Clone()
		e.ClientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return e
}

// connect makes one connection.
func (c *churn) connect(ctx context.Context, from endpoint.Endpoint, latency *report.Shard) error {
	began := time.Now()
	conn, err := from.Dial(ctx, int(c.number.Add(1)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := echoOnce(conn); err != nil {
		return err
	}
	latency.Record(time.Since(began), 1)
	return nil
}
