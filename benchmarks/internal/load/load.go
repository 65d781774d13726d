// Package load has the benchmarks' clients. The plain ones share no code with
// chanio, so that no server is judged only by its own client.
package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

var (
	errEnded    = errors.New("the server ended the session")
	errDiffers  = errors.New("the echo differs from what was sent")
	errTooSmall = fmt.Errorf("a message needs at least %d bytes for its number or time", bench.NumberSize)
)

// Run runs the clients of a job and reports what they measured. An error means
// that nothing was measured; the report counts errors of single clients.
//
//   - echo keeps messages in flight.
//   - multicast counts what is received.
//   - fanout measures until the last client has received a stamped message.
//   - idle measures the server's memory, with clients that do nothing; collect
//     makes the server collect its garbage and return free memory to the system.
//   - churn connects, echoes one message and closes, again and again.
func Run(ctx context.Context, c bench.Config, collect func() error) (*report.Report, error) {
	jobs := map[string]func(context.Context, *dialer) (*report.Report, error){
		"echo": runEcho, "multicast": runMulticast, "fanout": runFanout, "churn": runChurn,
		"idle": func(ctx context.Context, d *dialer) (*report.Report, error) { return runIdle(ctx, d, collect) },
	}
	run, ok := jobs[c.Job]
	switch {
	case !ok:
		return nil, fmt.Errorf("there is no job %q", c.Job)
	case c.Clients < 1 || c.Size < 1 || c.Messages < 1 && (c.Job == "echo" || c.Job == "fanout"):
		return nil, errors.New("clients, messages and size must be positive")
	case c.Size < bench.NumberSize && (c.Job == "fanout" || c.Datagrams()):
		return nil, errTooSmall
	case c.Client == "plain":
	case c.Client != "chanio" || c.Net == bench.WS || c.Job == "churn" || c.Job == "idle":
		return nil, fmt.Errorf("there is no client %q for %s over %s", c.Client, c.Job, c.Net)
	}
	p, err := newPattern(c)
	if err != nil {
		return nil, err
	}
	return run(ctx, &dialer{c, p, c.ClientTLS()})
}

// A dialer connects clients.
type dialer struct {
	bench.Config
	pattern *pattern
	tls     *tls.Config
}

// dialing is how many connections are dialed at a time.
const dialing = 64

// all connects all clients, or none.
func (d *dialer) all(ctx context.Context) ([]link, error) {
	links := make([]link, d.Clients)
	var g errgroup.Group // without a context: chanio's sessions end with theirs
	g.SetLimit(dialing)
	for i := range links {
		g.Go(func() (err error) {
			links[i], err = d.one(ctx, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		closeAll(links)
		return nil, err
	}
	return links, nil
}

// one connects the i-th client.
func (d *dialer) one(ctx context.Context, i int) (link, error) {
	if d.Client == "chanio" {
		return d.chanio(ctx)
	}
	l, err := d.plain(ctx, i)
	if err != nil {
		return nil, err // not a link that is nil
	}
	return l, nil
}

func closeAll(links []link) {
	for _, l := range links {
		if l != nil {
			l.close()
		}
	}
}
