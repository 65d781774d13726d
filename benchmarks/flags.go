package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/server"
)

// newFlags returns the flags of a command, which prints its usage to std.err.
func newFlags(command string, std streams) *flag.FlagSet {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(std.err)
	return fs
}

// configFlags parses the flags that commands other than compare share into c,
// whose fields are their defaults, and applies what concerns this process.
func configFlags(command string, std streams, c *bench.Config, args []string) error {
	c.Net, c.Impl, c.Client, c.Size = bench.TCP, "chanio", "plain", 32
	fs := newFlags(command, std)
	fs.Func("net", "`transport`: tcp, tls (or ssl), udp, unix, ws (default tcp)", func(s string) error {
		if s == "ssl" { // CppServer's name
			s = bench.TLS
		}
		c.Net = s
		return nil
	})
	address := fs.String("a", "", "`address` (default 127.0.0.1); udp multicast: the group (default 239.255.0.1); unix: a socket file")
	port := fs.Int("p", -1, "`port`; 0 is any free one (default 1111, tls 2222, udp 3333, udp multicast 3334)")
	fs.StringVar(&c.Impl, "impl", c.Impl, "`implementation` of the server: "+server.Implementations())
	fs.StringVar(&c.Client, "client", c.Client, "`client`: plain shares no code with chanio, or chanio")
	fs.IntVar(&c.Threads, "t", 0, "`threads` that run Go code at a time; 0 is one for each CPU")
	fs.IntVar(&c.Clients, "c", c.Clients, "`clients`; a multicast begins when all have connected")
	fs.IntVar(&c.Messages, "m", c.Messages, "`messages` that a client keeps in flight; for a multicast, messages a second, where 0 is as many as possible")
	fs.IntVar(&c.Size, "s", c.Size, "`size` of a message in bytes")
	fs.StringVar(&c.Framing, "framing", "", "how whole messages are marked in a stream: prefix (4-byte big-endian lengths) or lines (echo)")
	fs.BoolVar(&c.Batch, "batch", false, "receive and send batches (chanio's echo)")
	fs.BoolVar(&c.Deflate, "deflate", false, "compress WebSocket messages")
	fs.BoolVar(&c.Resume, "resume", false, "resume TLS sessions (churn)")
	fs.StringVar(&c.Cert, "cert", "", "PEM `file` of the server's TLS certificate; without one it is self-signed")
	fs.StringVar(&c.Key, "key", "", "PEM `file` of the certificate's key")
	fs.IntVar(&c.KernelBuffer, "kernelbuffer", 0, "`bytes` of the kernel's buffers of a udp socket; 0 is the system's choice")
	secondsVar(fs, &c.Warmup, "w", "`seconds` of warm-up before, during which every byte that comes back is compared (echo)")
	secondsVar(fs, &c.Length, "z", "`seconds` to measure")
	fs.IntVar(&c.ServerPID, "pid", 0, "process `id` of the server, for its CPU time and memory (load)")
	if err := parse(fs, args); err != nil {
		return err
	}
	if err := c.Locate(*address, *port); err != nil {
		return err
	}
	return c.Apply()
}

// secondsVar defines a flag of seconds.
func secondsVar(fs *flag.FlagSet, d *time.Duration, name, usage string) {
	fs.Func(name, fmt.Sprintf("%s (default %g)", usage, d.Seconds()), func(s string) (err error) {
		*d, err = time.ParseDuration(s + "s")
		return err
	})
}

// parse parses a command's flags. It prints errors before it returns.
func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	case fs.NArg() > 0:
		fmt.Fprintf(fs.Output(), "benchmarks %s: what is %q?\n", fs.Name(), fs.Arg(0))
		return errUsage
	}
	return nil
}
