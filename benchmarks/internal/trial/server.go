// Package trial runs one trial of one implementation: it starts a server as a
// child process, puts load on it from another process, and returns the
// measurements.
package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
)

// errNotPositive is the error of a trial without anything to measure.
var errNotPositive = errors.New("clients, messages and size must be positive")

// A Server says which server to start.
type Server struct {
	Job  string // echo or multicast
	Impl string
	Net  string
	CPU  int      // to which it is pinned, with one thread; -1 for none
	Args []string // further flags of the serve command

	// Published makes a multicast report the latency of publishing a message.
	Published bool
}

// running is a server running as a child process.
type running struct {
	*process.Child
	endpoint endpoint.Endpoint // with a client's TLS config
}

// start starts s on a free port of the loopback interface.
func (s Server) start(ctx context.Context) (*running, error) {
	port := 0
	if s.Job == "multicast" && s.Net == endpoint.UDP {
		var err error
		if port, err = endpoint.FreeGroupPort(); err != nil {
			return nil, err
		}
	}
	args := append([]string{"serve", s.Job, "-control", "-p", strconv.Itoa(port), "-net", s.Net, "-impl", s.Impl}, s.Args...)
	if s.Published {
		args = append(args, "-time")
	}
	child, err := process.Start(ctx, append(args, pinned(s.CPU)...)...)
	if err != nil {
		return nil, err
	}
	address, err := child.ReadLine()
	if err != nil {
		return nil, err
	}
	r := &running{child, endpoint.Endpoint{Net: s.Net, Address: address}}
	if s.Net == endpoint.TLS {
		if r.endpoint.ClientTLS, err = endpoint.ClientTLS(""); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// published returns how long publishing a message took.
func (r *running) published() (*report.Percentiles, error) {
	line, err := r.Command("published")
	if err != nil {
		return nil, err
	}
	var p *report.Percentiles
	if err := json.Unmarshal([]byte(line), &p); err != nil {
		return nil, fmt.Errorf("the server answers %q", line)
	}
	return p, nil
}

// pinned returns the flags that pin a process to a CPU.
func pinned(cpu int) []string {
	if cpu < 0 {
		return nil
	}
	return []string{"-cpu", strconv.Itoa(cpu), "-t", "1"}
}
