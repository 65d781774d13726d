package load

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

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

// idleSettle is the time for a server to finish what it began.
const idleSettle = 300 * time.Millisecond

// runIdle measures the growth of the server's memory: first with clients that
// have sent nothing, and then after each has echoed a message.
func runIdle(ctx context.Context, d *dialer, collect func() error) (*report.Report, error) {
	// resident returns the server's resident bytes, before a collection.
	resident := func() (int64, error) {
		wait(ctx, idleSettle)
		used, err := report.Usage(d.ServerPID)
		return used.Resident, errors.Join(err, collect())
	}
	if _, err := resident(); err != nil { // what the server needs to start is not the sessions'
		return nil, err
	}
	empty, err := report.Usage(d.ServerPID)
	if err != nil {
		return nil, err
	}
	growth := func() (float64, error) {
		now, err := resident()
		return float64(now-empty.Resident) / float64(d.Clients), err
	}
	links, err := d.all(ctx)
	if err != nil {
		return nil, err
	}
	defer closeAll(links)
	// The server has accepted all once it echoes on a later one.
	last, err := d.plain(ctx, len(links))
	if err != nil {
		return nil, err
	}
	defer last.close()
	if err := last.echoOnce(); err != nil {
		return nil, err
	}
	r := &report.Report{Idle: new(report.Idle)}
	if r.Idle.Connected, err = growth(); err != nil {
		return nil, err
	}
	var g errgroup.Group
	g.SetLimit(dialing)
	for _, l := range links {
		g.Go(l.(*plainLink).echoOnce)
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	r.Idle.Echoed, err = growth()
	return r, err
}
