// Package trial runs one trial of one implementation: it starts a server as a
// child process, puts load on it, and returns the measurements.
package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/report"
)

const (
	startup = 30 * time.Second     // that a server and a load may take in addition to the measuring
	session = 5 * time.Millisecond // for a handshake and an echo, on a slow machine
)

// Measure starts the server on a free port of the loopback interface and runs the
// clients in a process of their own, except those of idle, which run in this one.
// If a client failed, it returns an error: the others did not measure what was
// asked for.
func Measure(ctx context.Context, c bench.Config) (*report.Report, error) {
	if c.Clients < 1 || c.Size < 1 {
		return nil, errors.New("clients, messages and size must be positive")
	}
	ctx, cancel := context.WithTimeout(ctx, startup+time.Duration(c.Clients)*session+c.Warmup+c.Length)
	defer cancel()
	if err := c.LocateFree(); err != nil {
		return nil, err
	}
	server, err := Start(ctx, c.Pinned)
	if err != nil {
		return nil, err
	}
	c.ServerPID = server.cmd.Process.Pid
	c.Address, err = server.Serve(c)
	var r *report.Report
	if err == nil {
		r, err = measure(ctx, c, server)
	}
	if err = errors.Join(err, server.Stop(), ctx.Err()); err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d of %d clients failed: %s", r.Errors, c.Clients, r.FirstError)
	}
	return r, err
}

func measure(ctx context.Context, c bench.Config, server *Child) (*report.Report, error) {
	switch c.Job {
	case "idle":
		return load.Run(ctx, c, func() error { return server.Call("Part.Collect", 0, new(int)) })
	case "redis":
		return measureRedis(ctx, c)
	}
	child, err := Start(ctx, c.Pinned)
	if err != nil {
		return nil, err
	}
	r := new(report.Report)
	err = errors.Join(child.Call("Part.Load", c, r), child.Stop())
	if err == nil && c.Publish {
		r.Latency = nil
		err = server.Call("Part.Published", 0, &r.Latency)
	}
	return r, err
}
