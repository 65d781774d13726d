package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/trial"
)

// churn measures connections a second with a server of its own.
func churn(ctx context.Context, args []string) error {
	s := trial.Server{Job: "echo", CPU: -1}
	var (
		workers int
		resume  bool
		seconds float64
	)
	fs := flag.NewFlagSet("churn", flag.ContinueOnError)
	fs.StringVar(&s.Net, "net", endpoint.TCP, "`transport`: tcp, tls or unix")
	fs.StringVar(&s.Impl, "impl", "chanio", "`implementation` of the server")
	fs.IntVar(&workers, "c", 16, "`clients` that connect at a time")
	fs.BoolVar(&resume, "resume", false, "resume TLS sessions")
	fs.Float64Var(&seconds, "z", 3, "`seconds` to measure")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	c, err := trial.MeasureChurn(ctx, s, workers, resume, time.Duration(seconds*float64(time.Second)))
	if err != nil {
		return err
	}
	fmt.Printf("%d connections in %s: %.0f a second\n", c.Connections, report.Duration(c.Time), c.Rate())
	printPercentiles("From dialing to closing", c.Latency)
	if c.Server != nil {
		fmt.Printf("Server: %.2f CPU s, peak memory %s\n", c.Server.CPUSeconds, report.Bytes(float64(c.Server.PeakBytes)))
	}
	return nil
}

func printPercentiles(what string, p *report.Percentiles) {
	if p != nil {
		fmt.Printf("%s: %s\n", what, p)
	}
}
