// Package load has the benchmarks' clients. The plain ones share no code with
// chanio, so that no server is judged only by its own client.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/report"
)

// Config configures the clients.
type Config struct {
	Endpoint endpoint.Endpoint
	Client   string // "plain" or "chanio"

	Clients  int
	Messages int    // in flight per client (echo)
	Size     int    // bytes of a message, without its frame
	Framing  string // of streams, see package endpoint (echo)
	Batch    bool   // batches instead of single messages (chanio's echo)
	Resume   bool   // TLS sessions (churn)

	Warmup time.Duration // before the measured window; every byte that comes back is checked then (echo)
	Length time.Duration // of the measured window

	// ServerPID is the process whose usage is reported. If zero, none is.
	ServerPID int
	// Collect makes the server collect its garbage and return free memory to the
	// system (idle).
	Collect func() error
}

var (
	errEnded    = errors.New("the server ended the session")
	errDiffers  = errors.New("the echo differs from what was sent")
	errTooSmall = fmt.Errorf("a message needs at least %d bytes for its number or time", numberSize)
)

// numberSize is how many bytes of a message its number or time takes.
const numberSize = 8

// Run runs the clients of a job and reports what they measured. An error means
// that nothing was measured; the report counts errors of single clients.
//
//   - echo keeps messages in flight.
//   - multicast counts what is received.
//   - fanout measures until the last client has received a stamped message.
//   - idle measures the server's memory, with clients that do nothing.
//   - churn connects, echoes one message and closes, again and again.
func Run(ctx context.Context, job string, c Config) (*report.Report, error) {
	if c.Clients < 1 || c.Messages < 1 || c.Size < 1 {
		return nil, errors.New("clients, messages and size must be positive")
	}
	if c.Size < numberSize && (job == "fanout" || c.Endpoint.Datagrams()) {
		return nil, errTooSmall
	}
	if c.Client != "plain" && (c.Client != "chanio" || c.Endpoint.Net == endpoint.WS || job == "churn" || job == "idle") {
		return nil, fmt.Errorf("there is no client %q for %s over %s", c.Client, job, c.Endpoint.Net)
	}
	switch job {
	case "echo":
		return runEcho(ctx, c)
	case "multicast":
		return runMulticast(ctx, c)
	case "fanout":
		return runFanout(ctx, c)
	case "idle":
		return runIdle(ctx, c)
	case "churn":
		return runChurn(ctx, c)
	}
	return nil, fmt.Errorf("there is no job %q", job)
}

// dialing is how many connections are dialed at a time.
const dialing = 64

// connect connects all clients, or none.
func connect(ctx context.Context, c Config, group bool) ([]link, *pattern, error) {
	p, err := newPattern(c)
	if err != nil {
		return nil, nil, err
	}
	links := make([]link, c.Clients)
	var g errgroup.Group // without a context: chanio's sessions end with theirs
	g.SetLimit(dialing)
	for i := range links {
		g.Go(func() (err error) {
			links[i], err = dial(ctx, c, p, group, i)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		closeAll(links)
		return nil, nil, err
	}
	return links, p, nil
}

func dial(ctx context.Context, c Config, p *pattern, group bool, i int) (link, error) {
	switch {
	case c.Client == "chanio" && group:
		return joinChanio(ctx, c)
	case c.Client == "chanio":
		return dialChanio(ctx, c, p)
	}
	l, err := dialPlain(ctx, c, p, group, i)
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
