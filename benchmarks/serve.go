package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
	"example.com/chanio/benchmarks/internal/server"
)

// serve runs one server until ctx ends, or, with -control, until the standard
// input does.
func serve(ctx context.Context, args []string) error {
	var (
		where     endpointFlags
		c         server.Config
		control   bool
		cert, key string
	)
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	where.register(fs)
	fs.StringVar(&c.Impl, "impl", "std", "`implementation`")
	fs.BoolVar(&c.Frame, "frame", false, "echo whole messages behind 4-byte big-endian lengths")
	fs.IntVar(&c.ReadBuffer, "readbuffer", 64<<10, "`bytes` of a std connection's read buffer")
	fs.IntVar(&c.Size, "s", 32, "`size` of a multicast message in bytes")
	fs.IntVar(&c.Rate, "m", 0, "`messages` to multicast a second; 0 is as many as possible")
	fs.IntVar(&c.Members, "c", 1, "`clients` that must have come before the multicast begins")
	fs.StringVar(&c.Lag, "lag", "block", "`policy` of a chanio hub: block, drop or disconnect")
	fs.BoolVar(&c.Stamp, "stamp", false, "start each multicast message with its number and time")
	fs.StringVar(&cert, "cert", "", "PEM `file` of the TLS certificate; without one it is self-signed")
	fs.StringVar(&key, "key", "", "PEM `file` of the certificate's key")
	fs.BoolVar(&control, "control", false, "take commands from standard input and end with it")
	job, err := parse(fs, args, "echo", "multicast")
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
	s, err := server.Start(ctx, job, c)
	if err != nil {
		return err
	}
	if control {
		fmt.Println(s.Addr())
		obey(ctx)
		return s.Close()
	}
	fmt.Printf("Server: %s %s by %s\nAddress: %s\nThreads: %d\nPID: %d\n", c.Endpoint.Net, job, c.Impl, s.Addr(), where.threads, os.Getpid())
	<-ctx.Done()
	err = s.Close()
	if u, uerr := process.Usage(os.Getpid()); uerr == nil {
		fmt.Printf("\nServer: %.2f CPU s, peak memory %s\n", u.CPU.Seconds(), report.Bytes(float64(u.Peak)))
	}
	return err
}

// obey carries out the commands of the standard input until it or ctx ends.
// The one command is gc, which collects the heap, gives what is free back to
// the system and answers when that is done.
func obey(ctx context.Context) {
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
			if line == "gc" {
				debug.FreeOSMemory()
			}
			fmt.Println(line)
		case <-ctx.Done():
			return
		}
	}
}
