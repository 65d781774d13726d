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

// Churn is how fast connections come and go. Each is dialed, does the handshake
// with TLS, echoes one message and is closed.
type Churn struct {
	Connections int                 `json:"connections"`
	Resumed     int                 `json:"resumed"` // those whose TLS session was resumed
	Time        time.Duration       `json:"time_ns"`
	Latency     *report.Percentiles `json:"latency"` // of a connection's whole life
	Server      *report.Usage       `json:"server,omitempty"`
}

// Rate returns the connections per second.
func (c *Churn) Rate() float64 { return float64(c.Connections) / c.Time.Seconds() }

// Connecting configures how connections come and go.
type Connecting struct {
	Workers int  // connections at a time
	Size    int  // bytes of the message
	Resume  bool // TLS sessions
	Length  time.Duration
}

// MeasureChurn starts s, an echo server, and connects to it for a time.
func MeasureChurn(ctx context.Context, s Server, how Connecting) (*Churn, error) {
	if how.Workers < 1 || how.Size < 1 {
		return nil, errNotPositive
	}
	ctx, cancel := context.WithTimeout(ctx, startup+how.Length)
	defer cancel()
	server, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	c := &churn{server: server, how: how, latency: report.NewLatencies(how.Workers)}
	result, err := c.measure(ctx)
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	return result, err
}

type churn struct {
	server  *running
	how     Connecting
	latency *report.Latencies
	number  atomic.Int64 // of the next connection
	resumed atomic.Int64 // connections
}

func (c *churn) measure(ctx context.Context) (*Churn, error) {
	before, usageErr := process.Usage(c.server.PID())
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for i := range c.how.Workers {
		from := c.dialer()
		g.Go(func() error {
			for {
				if err := c.connect(ctx, from, c.latency.Shard(i)); err != nil {
					return err
				}
				if ctx.Err() != nil || time.Since(began) >= c.how.Length {
					return ctx.Err()
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	result := &Churn{
		Connections: int(c.number.Load()),
		Resumed:     int(c.resumed.Load()),
		Time:        time.Since(began),
		Latency:     c.latency.Percentiles(),
	}
	if after, err := process.Usage(c.server.PID()); err == nil && usageErr == nil {
		result.Server = &report.Usage{CPUSeconds: (after.CPU - before.CPU).Seconds(), PeakBytes: after.Peak}
	}
	return result, nil
}

// dialer returns the endpoint of one worker. A TLS 1.3 ticket is used only once,
// so each worker resumes its own sessions.
func (c *churn) dialer() endpoint.Endpoint {
	e := c.server.endpoint
	if c.how.Resume && e.Net == endpoint.TLS {
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
	if err := echoOnce(conn, c.how.Size); err != nil {
		return err
	}
	if t, ok := conn.(*tls.Conn); ok && t.ConnectionState().DidResume {
		c.resumed.Add(1)
	}
	latency.Record(time.Since(began), 1)
	return nil
}
