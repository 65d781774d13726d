package main

import (
	"context"
	"fmt"

	"example.com/chanio/benchmarks/internal/trial"
)

// fanout measures the latency of multicast with a server of its own.
func fanout(ctx context.Context, std streams, args []string) error {
	var (
		own     ownServerFlags
		what    trial.Publishing
		seconds float64
	)
	fs := newFlags("fanout", std)
	own.register(fs, "chanio, std, netpoll, coalesced, loop (writes to one connection after the other)")
	fs.IntVar(&what.Members, "c", 1000, "members, which are `clients`")
	fs.IntVar(&what.Rate, "m", 50, "`messages` a second")
	fs.Float64Var(&seconds, "z", 3, "`seconds` to measure")
	if _, err := parse(fs, args); err != nil {
		return err
	}
	what.Size, what.Length = own.size, secondsOf(seconds)
	f, err := trial.MeasureFanout(ctx, own.server("multicast"), what)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d messages to %d members\n", f.Messages, what.Members)
	printPercentiles(std.out, "Until the last had it", f.Latency)
	return nil
}
