package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
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

// child does what package trial asks for: it loads a server and prints the
// report, or serves, obeying the standard input until that or ctx ends.
func child(ctx context.Context, std streams, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	var c bench.Config
	if err := json.Unmarshal([]byte(args[1]), &c); err != nil {
		return err
	}
	if err := c.Apply(); err != nil {
		return err
	}
	if args[0] == "load" {
		r, err := load.Run(ctx, c, nil)
		if err != nil {
			return err
		}
		return json.NewEncoder(std.out).Encode(r)
	}
	s, err := server.Start(c)
	if err != nil {
		return err
	}
	fmt.Fprintln(std.out, s.Addr)
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
				return s.Close()
			}
			fmt.Fprintln(std.out, obey(line, s))
		case <-ctx.Done():
			return s.Close()
		}
	}
}

// obey runs a command of the server's parent and returns its answer, one line.
func obey(line string, s *server.Server) string {
	switch line {
	case "collect": // the garbage, and return free memory to the system
		debug.FreeOSMemory()
		return "done"
	case "published": // how long publishing a message took
		if b, err := json.Marshal(s.Published.Percentiles()); err == nil {
			return string(b)
		}
	}
	return "unknown command"
}
