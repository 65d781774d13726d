package load

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/report"
)

// runChurn runs a goroutine per client, each of which dials, does the handshake
// with TLS, echoes one message, closes, and begins again. Each connection counts
// as a message; its latency is that of its whole life.
func runChurn(ctx context.Context, c Config) (*report.Report, error) {
	p, err := newPattern(c)
	if err != nil {
		return nil, err
	}
	w := newWindow(c)
	var number, resumed atomic.Int64
	var wg sync.WaitGroup
	for i := range c.Clients {
		own, t, latency := c.resuming(), w.tally(), w.latencies.Shard(i)
		wg.Go(func() {
			for !w.over.Load() {
				began := time.Now()
				again, err := own.visit(ctx, p, int(number.Add(1)))
				if err != nil {
					w.fail(err)
					return
				}
				if !w.open.Load() {
					continue
				}
				t.messages.Add(1)
				latency.Record(time.Since(began), 1)
				if again {
					resumed.Add(1)
				}
			}
		})
	}
	r := w.measure(ctx)
	wg.Wait()
	r.Resumed = resumed.Load()
	return r, nil
}

// resuming returns one client's config. A TLS 1.3 ticket is used only once, so
// each client resumes its own sessions.
func (c Config) resuming() Config {
	if c.Resume && c.Endpoint.Net == endpoint.TLS {
		c.Endpoint.ClientTLS = c.Endpoint.ClientTLS.Clone()
		c.Endpoint.ClientTLS.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return c
}

// visit makes one connection and reports whether it resumed a TLS session.
func (c Config) visit(ctx context.Context, p *pattern, number int) (resumed bool, err error) {
	l, err := dialPlain(ctx, c, p, false, number)
	if err != nil {
		return false, err
	}
	defer l.close()
	if err := l.echoOnce(); err != nil {
		return false, err
	}
	t, ok := l.Conn.(*tls.Conn)
	return ok && t.ConnectionState().DidResume, nil
}
