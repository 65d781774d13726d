package main

import (
	"context"
	"flag"
	"fmt"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// idle measures what idle sessions cost a server of its own.
func idle(ctx context.Context, args []string) error {
	s := trial.Server{Job: "echo", CPU: -1}
	var sessions int
	fs := flag.NewFlagSet("idle", flag.ContinueOnError)
	fs.StringVar(&s.Net, "net", endpoint.TCP, "`transport`: tcp, tls or unix")
	fs.StringVar(&s.Impl, "impl", "chanio", "`implementation` of the server")
	fs.IntVar(&sessions, "c", 10_000, "`sessions`")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	m, err := trial.MeasureIdle(ctx, s, sessions)
	if err != nil {
		return err
	}
	fmt.Printf("%d idle %s sessions of %s, bytes of the server's resident memory for each:\n", m.Sessions, s.Net, s.Impl)
	fmt.Printf("  %-12s %10s %18s\n", "", "as it is", "after collection")
	fmt.Printf("  %-12s %10.0f %18.0f\n", "connected", m.Connected.Resident, m.Connected.Collected)
	fmt.Printf("  %-12s %10.0f %18.0f\n", "echoed once", m.Echoed.Resident, m.Echoed.Collected)
	return nil
}
