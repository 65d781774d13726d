package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/trial"
)

// runLoad runs clients against a server and prints what they measured.
func runLoad(ctx context.Context, std streams, args []string) error {
	c := bench.Config{Clients: 100, Messages: 1000, Length: 10 * time.Second}
	if err := configFlags("load", std, &c, args, "echo", "multicast", "fanout", "churn"); err != nil {
		return err
	}
	fmt.Fprintf(std.out, "Server address: %s\nTransport: %s\nWorking clients: %d (%s)\nWorking messages: %d\nMessage size: %d\nSeconds to benchmarking: %g\n\n",
		c.Address, c.Net, c.Clients, c.Client, c.Messages, c.Size, c.Length.Seconds())
	r, err := load.Run(ctx, c, nil)
	if err != nil {
		return err
	}
	r.Print(std.out)
	return nil
}

// ownServer returns the command of a job that starts its own server, on a free
// port of the loopback interface, loads it and prints the outcome.
func ownServer(job string, clients, messages int, show func(w io.Writer, c bench.Config, r *report.Report)) func(context.Context, streams, []string) error {
	return func(ctx context.Context, std streams, args []string) error {
		c := bench.Config{Job: job, Clients: clients, Messages: messages, Length: 3 * time.Second}
		if err := configFlags(job, std, &c, args); err != nil {
			return err
		}
		r, err := trial.Measure(ctx, c)
		if err != nil {
			return err
		}
		show(std.out, c, r)
		return nil
	}
}

// child does what package trial asks for.
func child(ctx context.Context, _ streams, _ []string) error {
	return trial.Play(ctx, os.Stdin, os.Stdout)
}

func showIdle(w io.Writer, c bench.Config, r *report.Report) {
	fmt.Fprintf(w, "%d idle %s sessions of %s, bytes of the server's resident memory for each:\n", c.Clients, c.Net, c.Impl)
	fmt.Fprintf(w, "  %-12s %10s %18s\n", "", "as it is", "after collection")
	fmt.Fprintf(w, "  %-12s %10.0f %18.0f\n", "connected", r.Idle.Connected.Resident, r.Idle.Connected.Collected)
	fmt.Fprintf(w, "  %-12s %10.0f %18.0f\n", "echoed once", r.Idle.Echoed.Resident, r.Idle.Echoed.Collected)
}

func showChurn(w io.Writer, _ bench.Config, r *report.Report) {
	fmt.Fprintf(w, "%d connections in %s: %.0f a second\nResumed: %d\n", r.Messages, report.Duration(r.Time), r.MessageRate(), r.Resumed)
	fmt.Fprintf(w, "From dialing to closing: %s\n", r.Latency)
	report.PrintUsage(w, "Server", r.Server)
}

func showFanout(w io.Writer, c bench.Config, r *report.Report) {
	fmt.Fprintf(w, "%d messages to %d members\nUntil the last had it: %s\n", r.Messages, c.Clients, r.Latency)
}
