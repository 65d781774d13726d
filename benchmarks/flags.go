package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
)

// newFlags returns the flags of a command, which prints its usage to std.err.
func newFlags(command string, std streams) *flag.FlagSet {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(std.err)
	return fs
}

// transportFlags registers -net, which also accepts CppServer's name for TLS,
// and what goes with it.
func transportFlags(fs *flag.FlagSet, e *endpoint.Endpoint) {
	e.Net = endpoint.TCP
	fs.Func("net", "`transport`: tcp, tls (or ssl), udp, unix, ws (default tcp)", func(s string) error {
		if s == "ssl" {
			s = endpoint.TLS
		}
		e.Net = s
		return nil
	})
	fs.BoolVar(&e.Deflate, "deflate", false, "compress WebSocket messages")
}

// formFlags registers the form of messages.
func formFlags(fs *flag.FlagSet, framing *string, batch *bool) {
	fs.StringVar(framing, "framing", "", "of whole messages in a stream: prefix (4-byte big-endian lengths) or lines (echo)")
	fs.BoolVar(batch, "batch", false, "receive and send batches (chanio's echo)")
}

// processFlags are the flags of an endpoint and its process, common to server
// and client.
type processFlags struct {
	at      endpoint.Endpoint
	address string
	port    int
	threads int
	cpu     int
}

func (f *processFlags) register(fs *flag.FlagSet) {
	transportFlags(fs, &f.at)
	fs.StringVar(&f.address, "a", "", "`address` (default 127.0.0.1); udp multicast: the group (default 239.255.0.1); unix: a socket file")
	fs.IntVar(&f.port, "p", -1, "`port`; 0 is any free one (default 1111, tls 2222, udp 3333, udp multicast 3334)")
	fs.IntVar(&f.threads, "t", runtime.GOMAXPROCS(0), "`threads` that run Go code at a time")
	fs.IntVar(&f.cpu, "cpu", -1, "pin the process to this `CPU`; -1 does not")
	fs.IntVar(&f.at.KernelBuffer, "kernelbuffer", 0, "`bytes` of the kernel's buffers of a udp socket; 0 is the system's choice")
}

// apply sets up this process and returns the endpoint.
func (f *processFlags) apply(job string) (endpoint.Endpoint, error) {
	if f.threads < 1 {
		return endpoint.Endpoint{}, fmt.Errorf("-t %d is not positive", f.threads)
	}
	if f.cpu >= 0 {
		if err := process.Pin(f.cpu); err != nil {
			return endpoint.Endpoint{}, err
		}
	}
	runtime.GOMAXPROCS(f.threads)
	group := job == "multicast"
	if f.port < 0 {
		f.port = endpoint.DefaultPort(f.at.Net, group)
	}
	if f.address == "" {
		f.address = endpoint.DefaultAddress(f.at.Net, group)
	}
	err := f.at.Locate(f.address, f.port)
	return f.at, err
}

// secondsOf returns a flag's seconds as a duration.
func secondsOf(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// parse parses a command's flags. A command with a job takes it as the first
// argument. parse prints errors before it returns.
func parse(fs *flag.FlagSet, args []string, jobs ...string) (job string, err error) {
	if len(jobs) > 0 {
		if len(args) > 0 {
			job, args = args[0], args[1:]
		}
		switch {
		case slices.Contains(jobs, job):
		case job == "-h" || job == "-help":
			args = []string{"-h"}
		default:
			fmt.Fprintf(fs.Output(), "benchmarks %s: the first argument is one of %v\n", fs.Name(), jobs)
			return "", errUsage
		}
	}
	if err := fs.Parse(args); err != nil {
		if err == flag.ErrHelp {
			return "", err
		}
		return "", errUsage
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(fs.Output(), "benchmarks %s: what is %q?\n", fs.Name(), fs.Arg(0))
		return "", errUsage
	}
	return job, nil
}
