package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/server"
)

// serve runs one server until ctx ends or, with -control, until the standard
// input does.
func serve(ctx context.Context, std streams, args []string) error {
	var (
		where     processFlags
		c         server.Config
		control   bool
		cert, key string
		timed     bool
	)
	fs := newFlags("serve", std)
	where.register(fs)
	formFlags(fs, &c.Framing, &c.Batch)
	fs.StringVar(&c.Impl, "impl", "chanio", "`implementation`: "+server.Implementations())
	fs.IntVar(&c.Size, "s", 32, "`size` of a multicast message in bytes")
	fs.IntVar(&c.Rate, "m", 0, "`messages` to multicast a second; 0 is as many as possible")
	fs.IntVar(&c.Members, "c", 1, "`clients` that must have come before the multicast begins")
	fs.BoolVar(&c.Drop, "drop", false, "let members of a chanio hub skip messages when they lag")
	fs.BoolVar(&c.Stamp, "stamp", false, "start each multicast message with its time")
	fs.BoolVar(&timed, "time", false, "measure how long publishing each multicast message takes")
	fs.StringVar(&cert, "cert", "", "PEM `file` of the TLS certificate; without one it is self-signed")
	fs.StringVar(&key, "key", "", "PEM `file` of the certificate's key")
	fs.BoolVar(&control, "control", false, "take commands from standard input and end with it")
	job, err := parse(fs, args, "echo", "multicast", "redis")
	if err != nil {
		return err
	}
	if c.Endpoint, err = where.apply(job); err != nil {
		return err
	}
	if c.Endpoint.Net == endpoint.TLS {
		if c.Endpoint.ServerTLS, err = endpoint.ServerTLS(cert, key); err != nil {
			return err
		}
	}
	if timed {
		c.Published = report.NewLatencies(1)
	}
	s, err := server.Start(ctx, job, c)
	if err != nil {
		return err
	}
	if control {
		fmt.Fprintln(std.out, s.Addr())
		obey(ctx, std.out, c)
		return s.Close()
	}
	fmt.Fprintf(std.out, "Server: %s %s by %s\nAddress: %s\nThreads: %d\nPID: %d\n", c.Endpoint.Net, job, c.Impl, s.Addr(), where.threads, os.Getpid())
	<-ctx.Done()
	err = s.Close()
	if timed {
		fmt.Fprintf(std.out, "\nPublishing: %s\n", c.Published.Percentiles())
	}
	if u, uerr := process.Usage(os.Getpid()); uerr == nil {
		fmt.Fprintln(std.out)
		report.PrintUsage(std.out, "Server", &u)
	}
	return err
}

// answer runs a command of the server's parent and returns its answer, one
// line.
func answer(line string, c server.Config) string {
	switch line {
	case "gc": // collect the heap and return free memory to the system
		debug.FreeOSMemory()
		return "done"
	case "published": // how long publishing a message took
		var p *report.Percentiles
		if c.Published != nil {
			p = c.Published.Percentiles()
		}
		b, err := json.Marshal(p)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	return "unknown command"
}

// obey runs the commands on the standard input until it or ctx ends.
func obey(ctx context.Context, w io.Writer, c server.Config) {
	lines := make(chan string)
	go func() { // ends with the input, or with the process
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			fmt.Fprintln(w, answer(line, c))
		case <-ctx.Done():
			return
		}
	}
}
