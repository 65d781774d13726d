package load

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
)

// idleSettle is the time for a server to finish what it began.
const idleSettle = 300 * time.Millisecond

// runIdle measures the growth of the server's memory: first with clients that
// have sent nothing, and then after each has echoed a message.
func runIdle(ctx context.Context, c Config) (*report.Report, error) {
	empty, err := c.collected()
	if err != nil {
		return nil, err
	}
	links, p, err := connect(ctx, c, false)
	if err != nil {
		return nil, err
	}
	defer closeAll(links)
	// The server has accepted all once it echoes on one that came after them.
	last, err := dialPlain(ctx, c, p, false, len(links))
	if err != nil {
		return nil, err
	}
	defer last.close()
	if err := last.echoOnce(); err != nil {
		return nil, err
	}
	r := &report.Report{Idle: new(report.Idle)}
	if r.Idle.Connected, err = c.footprint(ctx, empty); err != nil {
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
	r.Idle.Echoed, err = c.footprint(ctx, empty)
	return r, err
}

// footprint returns each session's share of the server's growth since it was
// empty.
func (c Config) footprint(ctx context.Context, empty int64) (report.Footprint, error) {
	wait(ctx, idleSettle)
	used, err := process.Usage(c.ServerPID)
	if err != nil {
		return report.Footprint{}, err
	}
	collected, err := c.collected()
	share := func(bytes int64) float64 { return float64(bytes-empty) / float64(c.Clients) }
	return report.Footprint{Resident: share(used.Resident), Collected: share(collected)}, err
}

// collected returns the server's resident bytes after a collection.
func (c Config) collected() (int64, error) {
	if err := c.Collect(); err != nil {
		return 0, err
	}
	used, err := process.Usage(c.ServerPID)
	return used.Resident, err
}
