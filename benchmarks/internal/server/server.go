// Package server has the servers that the benchmarks measure: each job (echo,
// multicast) in each implementation.
package server

import (
	"context"
	"fmt"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/report"
)

// Config configures a server.
type Config struct {
	Endpoint endpoint.Endpoint
	Impl     string // one of the job's implementations
	Batch    bool   // chanio's batches instead of single messages (echo)
	Frame    bool   // 4-byte big-endian length prefixes on streams (echo)

	// ReadBuffer is the size in bytes of a connection's read buffer in the
	// implementations that have one.
	ReadBuffer int

	Size int // bytes of a message, its frame included (multicast)
	Rate int // messages per second; 0 means as many as possible (multicast)
	// Members is how many must have connected before the multicast begins, at
	// least one (multicast).
	Members int
	// Lag is chanio's policy for members that lag: block, drop or disconnect
	// (multicast).
	Lag string
	// Published, if not nil, records how long publishing each message took
	// (multicast).
	Published *report.Latencies
	// Stamp starts each message with its time, for the fan-out latency
	// (multicast; see package stamp).
	Stamp bool
}

// A Server is a running server.
type Server interface {
	Addr() string // the address it is bound to
	Close() error // returns when its goroutines have ended
}

type starter func(context.Context, Config) (Server, error)

// Start starts the server of a job: echo, multicast, or redis, whose load is
// redis-benchmark. The server ends with Close, not with ctx.
func Start(ctx context.Context, job string, c Config) (Server, error) {
	impls, ok := jobs[job]
	if !ok {
		return nil, fmt.Errorf("job %q is none of echo, multicast and redis", job)
	}
	start, ok := impls[c.Impl]
	if !ok {
		return nil, fmt.Errorf("there is no implementation %q of %s", c.Impl, job)
	}
	return start(ctx, c)
}

// jobs maps each job to its implementations by name.
var jobs = map[string]map[string]starter{
	"echo": {
		"chanio":  chanioEcho,
		"std":     stdEcho,
		"netpoll": netpollEcho,
	},
	"redis": {
		"chanio": chanioRedis,
		"std":    stdRedis,
	},
	"multicast": {
		"chanio":    chanioMulticast,
		"std":       stdMulticast,
		"netpoll":   netpollMulticast,
		"coalesced": coalescedMulticast,
		"loop":      loopMulticast,
		"limit":     limitMulticast,
	},
}
