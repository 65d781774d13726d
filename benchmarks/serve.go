package main

import (
	"context"
	"fmt"
	"os"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/server"
)

// serve runs one server until ctx ends.
func serve(ctx context.Context, std streams, args []string) error {
	c := bench.Config{Clients: 1}
	if err := configFlags("serve", std, &c, args, "echo", "multicast", "fanout", "redis"); err != nil {
		return err
	}
	s, err := server.Start(c)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "Server: %s %s by %s\nAddress: %s\nPID: %d\n", c.Net, c.Job, c.Impl, s.Addr, os.Getpid())
	<-ctx.Done()
	err = s.Close()
	if u, uerr := process.Usage(os.Getpid()); uerr == nil {
		fmt.Fprintln(std.out)
		report.PrintUsage(std.out, "Server", &u)
	}
	return err
}
