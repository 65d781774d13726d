package main

import (
	"context"
	"fmt"

	"example.com/chanio/benchmarks/internal/trial"
)

// idle measures what idle sessions cost, with a server of its own.
func idle(ctx context.Context, std streams, args []string) error {
	var own ownServerFlags
	var sessions int
	fs := newFlags("idle", std)
	own.register(fs, "chanio, std, netpoll")
	fs.IntVar(&sessions, "c", 10_000, "sessions, one for each of so many `clients`")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	m, err := trial.MeasureIdle(ctx, own.server("echo"), sessions, own.size)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d idle %s sessions of %s, bytes of the server's resident memory for each:\n", m.Sessions, own.net, own.impl)
	fmt.Fprintf(std.out, "  %-12s %10s %18s\n", "", "as it is", "after collection")
	fmt.Fprintf(std.out, "  %-12s %10.0f %18.0f\n", "connected", m.Connected.Resident, m.Connected.Collected)
	fmt.Fprintf(std.out, "  %-12s %10.0f %18.0f\n", "echoed once", m.Echoed.Resident, m.Echoed.Collected)
	return nil
}
