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
func runIdle(ctx context.Context, d *dialer, collect func() error) (*report.Report, error) {
	// resident returns the server's resident bytes, before and after a collection.
	resident := func() (before, after process.Used, err error) {
		wait(ctx, idleSettle)
		if before, err = process.Usage(d.ServerPID); err == nil {
			err = collect()
		}
		if err == nil {
			after, err = process.Usage(d.ServerPID)
		}
		return before, after, err
	}
	_, empty, err := resident()
	if err != nil {
		return nil, err
	}
	footprint := func() (report.Footprint, error) {
		before, after, err := resident()
		share := func(u process.Used) float64 { return float64(u.Resident-empty.Resident) / float64(d.Clients) }
		return report.Footprint{Resident: share(before), Collected: share(after)}, err
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
	if r.Idle.Connected, err = footprint(); err != nil {
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
	r.Idle.Echoed, err = footprint()
	return r, err
}
