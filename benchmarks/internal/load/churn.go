package load

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

// runChurn runs a goroutine per client, each of which dials, does the handshake
// with TLS, echoes one message, closes, and begins again. Each connection counts
// as a message; its latency is that of its whole life.
func runChurn(ctx context.Context, d *dialer) (*report.Report, error) {
	w := newWindow(d.Config)
	var number, resumed atomic.Int64
	for i := range d.Clients {
		own, t, latency := *d, w.tally(), w.latencies.Shard(i)
		own.tls = d.ClientTLS() // a ticket is used only once: each client resumes its own sessions
		w.start(func() error {
			for !w.over.Load() {
				began := time.Now()
				again, err := own.visit(ctx, int(number.Add(1)))
				if err != nil {
					return err
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
			return nil
		})
	}
	r := w.measure(ctx, nil)
	r.Resumed = resumed.Load()
	return r, nil
}

// visit makes one connection and reports whether it resumed a TLS session.
func (d *dialer) visit(ctx context.Context, number int) (resumed bool, err error) {
	l, err := d.plain(ctx, number)
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
