package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
)

// A Load describes a load on a server.
type Load struct {
	Client   string // plain or chanio
	Clients  int
	Messages int // in flight per client
	Size     int
	Args     []string // further flags of the load command

	Warmup, Length time.Duration
}

// startup is how long a server and a load may take in addition to the measuring.
const startup = 30 * time.Second

// Measure starts s, runs l against it in a separate process, pinned like the
// server, and returns the report. If a client failed, it returns an error: the
// others did not measure what was asked for.
func Measure(ctx context.Context, s Server, l Load) (*report.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, startup+l.Warmup+l.Length)
	defer cancel()
	server, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	r, err := l.run(ctx, s, server)
	if err == nil && s.Published {
		r.Latency, err = server.published()
	}
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return nil, err
	}
	if r.Errors > 0 {
		return nil, fmt.Errorf("%d of %d clients failed: %s", r.Errors, l.Clients, r.FirstError)
	}
	return r, nil
}

func (l Load) run(ctx context.Context, s Server, server *running) (*report.Report, error) {
	args := append([]string{"load", s.Job, "-json", "-net", s.Net, "-to", server.endpoint.Address,
		"-pid", strconv.Itoa(server.PID()),
		"-client", l.Client,
		"-c", strconv.Itoa(l.Clients),
		"-m", strconv.Itoa(l.Messages),
		"-s", strconv.Itoa(l.Size),
		"-w", seconds(l.Warmup),
		"-z", seconds(l.Length),
	}, l.Args...)
	child, err := process.Start(ctx, append(args, pinned(s.CPU)...)...)
	if err != nil {
		return nil, err
	}
	out, err := child.Output()
	if err != nil {
		return nil, err
	}
	r := new(report.Report)
	return r, json.Unmarshal(out, r)
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
