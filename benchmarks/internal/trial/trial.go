// Package trial runs one trial of one implementation: it starts a server as a
// child process, puts load on it, and returns the measurements.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/process"
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
	port := 0
	if c.Datagrams() && c.Multicasts() {
		var err error
		if port, err = bench.FreeGroupPort(); err != nil {
			return nil, err
		}
	}
	if err := c.Locate("", port); err != nil {
		return nil, err
	}
	server, err := Child(ctx, "serve", c)
	if err != nil {
		return nil, err
	}
	c.ServerPID = server.PID()
	c.Address, err = server.ReadLine()
	var r *report.Report
	if err == nil {
		r, err = measure(ctx, c, server)
	}
	if err = errors.Join(err, server.Stop()); err == nil && r.Errors > 0 {
		err = fmt.Errorf("%d of %d clients failed: %s", r.Errors, c.Clients, r.FirstError)
	}
	return r, err
}

func measure(ctx context.Context, c bench.Config, server *process.Child) (r *report.Report, err error) {
	switch c.Job {
	case "idle":
		return load.Run(ctx, c, func() error {
			_, err := server.Command("collect")
			return err
		})
	case "redis":
		return measureRedis(ctx, c)
	}
	child, err := Child(ctx, "load", c)
	if err != nil {
		return nil, err
	}
	out, err := child.Output()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(out, &r); err != nil || !c.Publish {
		return r, err
	}
	line, err := server.Command("published")
	if err != nil {
		return nil, err
	}
	r.Latency = nil
	return r, json.Unmarshal([]byte(line), &r.Latency)
}

// Child starts this program as the server of c, or as its load.
func Child(ctx context.Context, role string, c bench.Config) (*process.Child, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return process.Start(ctx, "child", role, string(config))
}
