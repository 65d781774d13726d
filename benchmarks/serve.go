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
		where     endpointFlags
		c         server.Config
		control   bool
		cert, key string
		timed     bool
		busy      int
	)
	fs := newFlags("serve", std)
	where.register(fs)
	fs.StringVar(&c.Impl, "impl", "chanio", "`implementation`: chanio, std, netpoll; multicast also coalesced, loop, limit")
	fs.BoolVar(&c.Frame, "frame", false, "echo whole messages behind 4-byte big-endian lengths")
	fs.BoolVar(&c.Batch, "batch", false, "receive and send batches (echo by chanio over streams)")
	fs.IntVar(&c.ReadBuffer, "readbuffer", 64<<10, "`bytes` of a std connection's read buffer")
	fs.IntVar(&c.Size, "s", 32, "`size` of a multicast message in bytes")
	fs.IntVar(&c.Rate, "m", 0, "`messages` to multicast a second; 0 is as many as possible")
	fs.IntVar(&c.Members, "c", 1, "`clients` that must have come before the multicast begins")
	fs.StringVar(&c.Lag, "lag", "block", "`policy` of a chanio hub: block, drop or disconnect")
	fs.BoolVar(&c.Stamp, "stamp", false, "start each multicast message with its number and time")
	fs.BoolVar(&timed, "time", false, "measure how long publishing each multicast message takes")
	fs.StringVar(&cert, "cert", "", "PEM `file` of the TLS certificate; without one it is self-signed")
	fs.StringVar(&key, "key", "", "PEM `file` of the certificate's key")
	fs.IntVar(&busy, "busy", 0, "`goroutines` that compute beside the server, without a pause")
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
	for range busy {
		go compute(ctx)
	}
	if control {
		fmt.Fprintln(std.out, s.Addr())
		obey(ctx, std.out, commandsOf(c))
		return s.Close()
	}
	fmt.Fprintf(std.out, "Server: %s %s by %s\nAddress: %s\nThreads: %d\nPID: %d\n", c.Endpoint.Net, job, c.Impl, s.Addr(), where.threads, os.Getpid())
	<-ctx.Done()
	err = s.Close()
	if timed {
		printPercentiles(std.out, "\nPublishing", c.Published.Percentiles())
	}
	if u, uerr := process.Usage(os.Getpid()); uerr == nil {
		fmt.Fprintf(std.out, "\nServer: %.2f CPU s, peak memory %s\n", u.CPU.Seconds(), report.Bytes(float64(u.Peak)))
	}
	return err
}

// commandsOf returns the commands that a server accepts from its parent. Each
// command answers with one line.
func commandsOf(c server.Config) map[string]func() (string, error) {
	return map[string]func() (string, error){
		// gc collects the heap and returns free memory to the system.
		"gc": func() (string, error) {
			debug.FreeOSMemory()
			return "done", nil
		},
		// published reports how long publishing a message took.
		"published": func() (string, error) {
			if c.Published == nil {
				return "null", nil
			}
			b, err := json.Marshal(c.Published.Percentiles())
			return string(b), err
		},
	}
}

// obey runs the commands on the standard input until it or ctx ends.
func obey(ctx context.Context, w io.Writer, commands map[string]func() (string, error)) {
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
			answer := "unknown command"
			if do := commands[line]; do != nil {
				var err error
				if answer, err = do(); err != nil {
					answer = err.Error()
				}
			}
			fmt.Fprintln(w, answer)
		case <-ctx.Done():
			return
		}
	}
}

// compute uses a processor until ctx ends. It never blocks, so the scheduler
// must preempt it.
func compute(ctx context.Context) {
	for x := uint64(1); x != 0; {
		if x = x*6364136223846793005 | 1; x>>50 == 0 && ctx.Err() != nil {
			return
		}
	}
}
