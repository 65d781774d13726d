package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// fanout measures the latency of multicast with a server of its own.
func fanout(ctx context.Context, args []string) error {
	s := trial.Server{Job: "multicast", CPU: -1}
	var (
		members, rate int
		seconds       float64
	)
	fs := flag.NewFlagSet("fanout", flag.ContinueOnError)
	fs.StringVar(&s.Net, "net", endpoint.TCP, "`transport`: tcp, tls or unix")
	fs.StringVar(&s.Impl, "impl", "chanio", "`implementation` of the server; loop writes to one connection after the other")
	fs.IntVar(&members, "c", 1000, "members, which are `clients`")
	fs.IntVar(&rate, "m", 50, "`messages` a second")
	fs.Float64Var(&seconds, "z", 3, "`seconds` to measure")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	f, err := trial.MeasureFanout(ctx, s, members, rate, time.Duration(seconds*float64(time.Second)))
	if err != nil {
		return err
	}
	fmt.Printf("%d messages to %d members\n", f.Messages, members)
	printPercentiles("Until the last had it", f.Latency)
	return nil
}
