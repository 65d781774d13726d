package main

import (
	"context"
	"encoding/json"
	"fmt"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/process"
)

// runLoad runs clients against a server and prints what they measured.
func runLoad(ctx context.Context, std streams, args []string) error {
	var (
		where         endpointFlags
		c             load.Config
		seconds, warm float64
		ca, to        string
		asJSON        bool
	)
	fs := newFlags("load", std)
	where.register(fs)
	fs.StringVar(&to, "to", "", "`address` of the server in one, instead of -a and -p")
	fs.StringVar(&c.Client, "client", "plain", "`client`: plain shares no code with chanio, or chanio")
	fs.IntVar(&c.Clients, "c", 100, "`clients`")
	fs.IntVar(&c.Messages, "m", 1000, "`messages` that a client keeps in flight (echo)")
	fs.IntVar(&c.Size, "s", 32, "`size` of a message in bytes")
	fs.Float64Var(&seconds, "z", 10, "`seconds` to measure")
	fs.Float64Var(&warm, "w", 0, "`seconds` of warm-up before")
	fs.BoolVar(&c.Frame, "frame", false, "send whole messages behind 4-byte big-endian lengths (echo)")
	fs.BoolVar(&c.Batch, "batch", false, "receive and send batches (echo by chanio over streams)")
	fs.BoolVar(&c.Check, "check", false, "compare every byte, not only those of the warm-up (echo)")
	fs.IntVar(&c.ServerPID, "pid", 0, "process `id` of the server, for its CPU time and memory")
	fs.StringVar(&ca, "ca", "", "PEM `file` of the CA to verify a TLS server with; without one any is taken")
	fs.BoolVar(&asJSON, "json", false, "print the report as JSON, and nothing else")
	job, err := parse(fs, args, "echo", "multicast")
	if err != nil {
		return err
	}
	if c.Endpoint, err = where.apply(job); err != nil {
		return err
	}
	if to != "" {
		c.Endpoint.Address = to
	}
	if c.Endpoint.Net == endpoint.TLS {
		if c.Endpoint.ClientTLS, err = endpoint.ClientTLS(ca); err != nil {
			return err
		}
	}
	c.Length = secondsOf(seconds)
	c.Warmup = secondsOf(warm)
	const other = 100 // descriptors in addition to those of the clients
	if err := process.AllowFiles(c.Clients + other); err != nil {
		return err
	}
	if !asJSON {
		fmt.Fprintf(std.out, "Server address: %s\nTransport: %s\nWorking threads: %d\nWorking clients: %d (%s)\nWorking messages: %d\nMessage size: %d\nSeconds to benchmarking: %g\n\n",
			c.Endpoint.Address, c.Endpoint.Net, where.threads, c.Clients, c.Client, c.Messages, c.Size, seconds)
	}
	r, err := load.Run(ctx, job, c)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(std.out).Encode(r)
	}
	r.Print(std.out)
	return nil
}
