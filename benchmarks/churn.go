package main

import (
	"context"
	"fmt"
	"io"

	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/trial"
)

// churn measures connections per second with a server of its own.
func churn(ctx context.Context, std streams, args []string) error {
	var (
		own     ownServerFlags
		how     trial.Connecting
		seconds float64
	)
	fs := newFlags("churn", std)
	own.register(fs, "chanio, std, netpoll")
	fs.IntVar(&how.Workers, "c", 16, "`clients` that connect at a time")
	fs.BoolVar(&how.Resume, "resume", false, "resume TLS sessions")
	fs.Float64Var(&seconds, "z", 3, "`seconds` to measure")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	how.Size, how.Length = own.size, secondsOf(seconds)
	c, err := trial.MeasureChurn(ctx, own.server("echo"), how)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d connections in %s: %.0f a second\n", c.Connections, report.Duration(c.Time), c.Rate())
	if how.Resume {
		fmt.Fprintf(std.out, "Resumed: %d\n", c.Resumed)
	}
	printPercentiles(std.out, "From dialing to closing", c.Latency)
	if c.Server != nil {
		fmt.Fprintf(std.out, "Server: %.2f CPU s, peak memory %s\n", c.Server.CPUSeconds, report.Bytes(float64(c.Server.PeakBytes)))
	}
	return nil
}

func printPercentiles(w io.Writer, what string, p *report.Percentiles) {
	if p != nil {
		fmt.Fprintf(w, "%s: %s\n", what, p)
	}
}
