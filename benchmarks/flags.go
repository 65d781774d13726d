package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/trial"
)

// newFlags returns the flags of a command, which prints its usage to std.err.
func newFlags(command string, std streams) *flag.FlagSet {
	fs := flag.NewFlagSet(command, flag.ContinueOnError)
	fs.SetOutput(std.err)
	return fs
}

// transportFlag registers -net. It also accepts CppServer's name for TLS.
func transportFlag(fs *flag.FlagSet, net *string, names string) {
	*net = endpoint.TCP
	fs.Func("net", "`transport`: "+names+" (default tcp)", func(s string) error {
		if s == "ssl" {
			s = endpoint.TLS
		}
		*net = s
		return nil
	})
}

// endpointFlags are the flags of the endpoint, common to server and client.
type endpointFlags struct {
	net     string
	address string
	port    int
	threads int
	cpu     int
	kernel  int
}

func (f *endpointFlags) register(fs *flag.FlagSet) {
	transportFlag(fs, &f.net, "tcp, tls (or ssl), udp, unix")
	fs.StringVar(&f.address, "a", "", "`address` (default 127.0.0.1); udp multicast: the group (default 239.255.0.1); unix: a socket file")
	fs.IntVar(&f.port, "p", -1, "`port`; 0 is any free one (default 1111, tls 2222, udp 3333, udp multicast 3334)")
	fs.IntVar(&f.threads, "t", runtime.GOMAXPROCS(0), "`threads` that run Go code at a time")
	fs.IntVar(&f.cpu, "cpu", -1, "pin the process to this `CPU`; -1 does not")
	fs.IntVar(&f.kernel, "kernelbuffer", 0, "`bytes` of the kernel's buffers of a socket; 0 is the system's choice")
}

// apply sets up this process and returns the endpoint.
func (f *endpointFlags) apply(job string) (endpoint.Endpoint, error) {
	if f.threads < 1 {
		return endpoint.Endpoint{}, fmt.Errorf("-t %d is not positive", f.threads)
	}
	if f.cpu >= 0 {
		if err := process.Pin(f.cpu); err != nil {
			return endpoint.Endpoint{}, err
		}
	}
	runtime.GOMAXPROCS(f.threads)
	if f.port < 0 {
		f.port = endpoint.DefaultPort(f.net, job == "multicast")
	}
	if f.address == "" {
		f.address = endpoint.DefaultAddress(f.net, job == "multicast")
	}
	e, err := endpoint.New(f.net, f.address, f.port)
	e.KernelBuffer = f.kernel
	return e, err
}

// ownServerFlags are the flags of commands that start their own server, on a
// free port of the loopback interface.
type ownServerFlags struct {
	net, impl string
	threads   int
	size      int
}

func (f *ownServerFlags) register(fs *flag.FlagSet, impls string) {
	transportFlag(fs, &f.net, "tcp, tls (or ssl), unix")
	fs.StringVar(&f.impl, "impl", "chanio", "`implementation` of the server: "+impls)
	fs.IntVar(&f.threads, "t", runtime.GOMAXPROCS(0), "`threads` of the server that run Go code at a time")
	fs.IntVar(&f.size, "s", 32, "`size` of a message in bytes")
}

func (f *ownServerFlags) server(job string) trial.Server {
	return trial.Server{Job: job, Impl: f.impl, Net: f.net, CPU: -1, Args: []string{"-t", strconv.Itoa(f.threads)}}
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
		if !slices.Contains(jobs, job) && job != "-h" && job != "-help" {
			fmt.Fprintf(fs.Output(), "benchmarks %s: the first argument is one of %v\n", fs.Name(), jobs)
			return "", errUsage
		}
		if !slices.Contains(jobs, job) {
			args = []string{"-h"}
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
