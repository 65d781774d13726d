package main

import (
	"context"
	"fmt"
	"os"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/server"
	"example.com/chanio/benchmarks/internal/trial"
)

// serve runs one server until ctx ends.
func serve(ctx context.Context, std streams, c bench.Config) error {
	s, err := server.Start(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "Server: %s %s by %s\nAddress: %s\nPID: %d\n", c.Net, c.Job, c.Impl, s.Addr, os.Getpid())
	<-ctx.Done()
	err = s.Close()
	if u, uerr := report.Usage(os.Getpid()); uerr == nil {
		fmt.Fprintln(std.out)
		report.PrintUsage(std.out, "Server", &u)
	}
	return err
}

// runLoad runs clients against a server and prints what they measured.
func runLoad(ctx context.Context, std streams, c bench.Config) error {
	fmt.Fprintf(std.out, "Server address: %s\nTransport: %s\nWorking clients: %d (%s)\nWorking messages: %d\nMessage size: %d\nSeconds to benchmarking: %g\n\n",
		c.Address, c.Net, c.Clients, c.Client, c.Messages, c.Size, c.Length.Seconds())
	r, err := load.Run(ctx, c, nil)
	if err != nil {
		return err
	}
	r.Print(std.out)
	return nil
}

// measure starts a server on a free port of the loopback interface, loads it and
// prints the outcome.
func measure(ctx context.Context, std streams, c bench.Config) error {
	r, err := trial.Measure(ctx, c)
	if err != nil {
		return err
	}
	w := std.out
	switch c.Job {
	case "idle":
		fmt.Fprintf(w, "%d idle %s sessions of %s, bytes of the server's resident memory for each:\n", c.Clients, c.Net, c.Impl)
		fmt.Fprintf(w, "  %-12s %8.0f\n  %-12s %8.0f\n", "connected", r.Idle.Connected, "echoed once", r.Idle.Echoed)
	case "churn":
		fmt.Fprintf(w, "%d connections in %s: %.0f a second\nResumed: %d\n", r.Messages, report.Duration(r.Time), r.MessageRate(), r.Resumed)
		fmt.Fprintf(w, "From dialing to closing: %s\n", r.Latency)
		report.PrintUsage(w, "Server", r.Server)
	case "fanout":
		fmt.Fprintf(w, "%d messages to %d members\nUntil the last had it: %s\n", r.Messages, c.Clients, r.Latency)
	}
	return nil
}
