package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/trial"
)

// runLoad runs clients against a server and prints what they measured.
func runLoad(ctx context.Context, std streams, args []string) error {
	var (
		where         processFlags
		c             load.Config
		seconds, warm float64
		to            string
		asJSON        bool
	)
	fs := newFlags("load", std)
	where.register(fs)
	formFlags(fs, &c.Framing, &c.Batch)
	fs.StringVar(&to, "to", "", "`address` of the server in one, instead of -a and -p")
	fs.StringVar(&c.Client, "client", "plain", "`client`: plain shares no code with chanio, or chanio")
	fs.IntVar(&c.Clients, "c", 100, "`clients`")
	fs.IntVar(&c.Messages, "m", 1000, "`messages` that a client keeps in flight (echo)")
	fs.IntVar(&c.Size, "s", 32, "`size` of a message in bytes")
	fs.Float64Var(&seconds, "z", 10, "`seconds` to measure")
	fs.Float64Var(&warm, "w", 0, "`seconds` of warm-up before, during which every byte that comes back is compared (echo)")
	fs.BoolVar(&c.Resume, "resume", false, "resume TLS sessions (churn)")
	fs.IntVar(&c.ServerPID, "pid", 0, "process `id` of the server, for its CPU time and memory")
	fs.BoolVar(&asJSON, "json", false, "print the report as JSON, and nothing else")
	job, err := parse(fs, args, "echo", "multicast", "fanout", "churn")
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
		c.Endpoint.ClientTLS = endpoint.ClientTLS()
	}
	c.Length, c.Warmup = secondsOf(seconds), secondsOf(warm)
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

// ownServer is a command that starts its own server, on a free port of the
// loopback interface, and loads it.
type ownServer struct {
	t       trial.Trial
	seconds float64
}

func (o *ownServer) parse(job string, std streams, args []string, clients int, more func(*flag.FlagSet)) error {
	o.t.Job, o.t.CPU = job, -1
	c := &o.t.Load
	c.Client, c.Messages = "plain", 1
	fs := newFlags(job, std)
	transportFlags(fs, &c.Endpoint)
	fs.StringVar(&o.t.Impl, "impl", "chanio", "`implementation` of the server: see serve")
	fs.StringVar(&c.Framing, "framing", "", "of whole messages in a stream: prefix or lines")
	fs.IntVar(&o.t.Threads, "t", 0, "`threads` of the server that run Go code at a time; 0 is one for each CPU")
	fs.IntVar(&c.Clients, "c", clients, "`clients`")
	fs.IntVar(&c.Size, "s", 32, "`size` of a message in bytes")
	fs.Float64Var(&o.seconds, "z", 3, "`seconds` to measure (not idle)")
	more(fs)
	if _, err := parse(fs, args); err != nil {
		return err
	}
	c.Length = secondsOf(o.seconds)
	return nil
}

// idle measures what idle sessions cost.
func idle(ctx context.Context, std streams, args []string) error {
	var o ownServer
	if err := o.parse("idle", std, args, 10_000, func(*flag.FlagSet) {}); err != nil {
		return err
	}
	r, err := o.t.MeasureHere(ctx)
	if err != nil {
		return err
	}
	m, c := r.Idle, o.t.Load
	fmt.Fprintf(std.out, "%d idle %s sessions of %s, bytes of the server's resident memory for each:\n", c.Clients, c.Endpoint.Net, o.t.Impl)
	fmt.Fprintf(std.out, "  %-12s %10s %18s\n", "", "as it is", "after collection")
	fmt.Fprintf(std.out, "  %-12s %10.0f %18.0f\n", "connected", m.Connected.Resident, m.Connected.Collected)
	fmt.Fprintf(std.out, "  %-12s %10.0f %18.0f\n", "echoed once", m.Echoed.Resident, m.Echoed.Collected)
	return nil
}

// churn measures connections per second.
func churn(ctx context.Context, std streams, args []string) error {
	var o ownServer
	resume := &o.t.Load.Resume
	if err := o.parse("churn", std, args, 16, func(fs *flag.FlagSet) {
		fs.BoolVar(resume, "resume", false, "resume TLS sessions")
	}); err != nil {
		return err
	}
	r, err := o.t.MeasureHere(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d connections in %s: %.0f a second\n", r.Messages, report.Duration(r.Time), r.MessageRate())
	if *resume {
		fmt.Fprintf(std.out, "Resumed: %d\n", r.Resumed)
	}
	fmt.Fprintf(std.out, "From dialing to closing: %s\n", r.Latency)
	report.PrintUsage(std.out, "Server", r.Server)
	return nil
}

// fanout measures the latency of multicast.
func fanout(ctx context.Context, std streams, args []string) error {
	var o ownServer
	if err := o.parse("fanout", std, args, 1000, func(fs *flag.FlagSet) {
		fs.IntVar(&o.t.Rate, "m", 50, "`messages` a second")
	}); err != nil {
		return err
	}
	r, err := o.t.MeasureHere(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "%d messages to %d members\nUntil the last had it: %s\n", r.Messages, o.t.Load.Clients, r.Latency)
	return nil
}
