// Package server has the servers that the benchmarks measure: each job in each
// implementation.
package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/report"
)

// Config configures a server.
type Config struct {
	Endpoint endpoint.Endpoint
	Impl     string // one of the job's implementations
	Batch    bool   // chanio's batches instead of single messages (echo)
	Framing  string // of streams, see package endpoint (echo)

	Size int // bytes of a message (multicast)
	Rate int // messages per second; 0 means as many as possible (multicast)
	// Members is how many must have connected before the multicast begins, at
	// least one (multicast).
	Members int
	// Drop lets members of chanio's hub skip messages when they lag, so that
	// publishing never waits for them (multicast).
	Drop bool
	// Published, if not nil, records how long publishing each message took
	// (multicast).
	Published *report.Latencies
	// Stamp starts each multicast message with its time, for the fan-out latency
	// (multicast; see package stamp).
	Stamp bool
}

// A Server is a running server.
type Server interface {
	Addr() string // the address it is bound to
	Close() error // returns when its goroutines have ended
}

type starter func(context.Context, Config) (Server, error)

// jobs maps each job to its implementations by name.
func jobs() map[string]map[string]starter {
	return map[string]map[string]starter{
		"echo": {
			"chanio": chanioEcho, "packetconn": packetEcho,
			"std": stdEcho, "netpoll": netpollEcho,
			"gorilla": gorillaEcho, "coder": coderEcho, "gws": gwsEcho,
		},
		"multicast": {
			"chanio": chanioMulticast,
			"std":    stdMulticast, "coalesced": coalescedMulticast, "loop": loopMulticast, "limit": limitMulticast,
			"gorilla": gorillaMulticast, "coder": coderMulticast, "gws": gwsMulticast,
		},
		"redis": {"chanio": chanioRedis, "std": stdRedis},
	}
}

// Implementations lists the implementations of all jobs.
func Implementations() string {
	var lists []string
	all := jobs()
	for _, job := range slices.Sorted(maps.Keys(all)) {
		lists = append(lists, job+" by "+strings.Join(slices.Sorted(maps.Keys(all[job])), ", "))
	}
	return strings.Join(lists, "; ")
}

// Start starts the server of a job: echo, multicast, or redis, whose load is
// redis-benchmark. The server ends with Close, not with ctx.
func Start(ctx context.Context, job string, c Config) (Server, error) {
	impls, ok := jobs()[job]
	if !ok {
		return nil, fmt.Errorf("job %q is none of echo, multicast and redis", job)
	}
	start, ok := impls[c.Impl]
	if !ok {
		return nil, fmt.Errorf("there is no implementation %q of %s", c.Impl, job)
	}
	return start(ctx, c)
}
