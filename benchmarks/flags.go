package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
)

// endpointFlags are the flags that say where: those of server and client alike.
type endpointFlags struct {
	net     string
	address string
	port    int
	threads int
	cpu     int
	kernel  int
}

func (f *endpointFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.net, "net", endpoint.TCP, "`transport`: tcp, tls, udp or unix")
	fs.StringVar(&f.address, "a", "", "`address` (default 127.0.0.1); udp multicast: the group (default 239.255.0.1); unix: a socket file")
	fs.IntVar(&f.port, "p", -1, "`port`; 0 is any free one (default 1111, tls 2222, udp 3333, udp multicast 3334)")
	fs.IntVar(&f.threads, "t", runtime.GOMAXPROCS(0), "`threads` that run Go code at a time")
	fs.IntVar(&f.cpu, "cpu", -1, "pin the process to this `CPU`; -1 does not")
	fs.IntVar(&f.kernel, "kernelbuffer", 0, "`bytes` of the kernel's buffers of a socket; 0 is the system's choice")
}

// apply sets up this process, and returns the endpoint.
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

// parse parses a command's flags; those commands that have a job have it as
// their first argument. Errors have been printed when it returns.
func parse(fs *flag.FlagSet, args []string, jobs ...string) (job string, err error) {
	if len(jobs) > 0 {
		if len(args) > 0 {
			job, args = args[0], args[1:]
		}
		if !slices.Contains(jobs, job) && job != "-h" && job != "-help" {
			fmt.Fprintf(os.Stderr, "benchmarks %s: the first argument is one of %v\n", fs.Name(), jobs)
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
		fmt.Fprintf(os.Stderr, "benchmarks %s: what is %q?\n", fs.Name(), fs.Arg(0))
		return "", errUsage
	}
	return job, nil
}
