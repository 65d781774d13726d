// Package server has the servers that the benchmarks measure: each job in each
// implementation.
package server

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

// A Server is a running server.
type Server struct {
	Addr string // which it is bound to
	// Published has how long publishing each message took. If the config does not
	// ask for it, nil.
	Published *report.Latencies

	config bench.Config
	quit   chan struct{}  // closed first by Close
	stops  []func() error // called by Close; they make goroutines end
	wg     sync.WaitGroup // all goroutines

	mu    sync.Mutex
	over  bool // no connection is added any more
	conns map[net.Conn]struct{}
}

// starters maps each job to its implementations by name. If a starter
// fails, Close ends what it has begun.
func starters() map[string]map[string]func(*Server) error {
	return map[string]map[string]func(*Server) error{
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
	all := starters()
	for _, job := range slices.Sorted(maps.Keys(all)) {
		lists = append(lists, job+" by "+strings.Join(slices.Sorted(maps.Keys(all[job])), ", "))
	}
	return strings.Join(lists, "; ")
}

// Start starts the server of a job. Clients of idle and churn need the server of
// echo; that of fanout begins each message with its time; redis-benchmark loads
// that of redis. Publishing begins when all clients have connected.
func Start(c bench.Config) (*Server, error) {
	job := c.Job
	switch {
	case job == "idle" || job == "churn":
		job = "echo"
	case c.Multicasts():
		job = "multicast"
	}
	start, ok := starters()[job][c.Impl]
	if !ok {
		return nil, fmt.Errorf("there is no implementation %q of %s", c.Impl, c.Job)
	}
	s := &Server{config: c, quit: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	if c.Publish {
		s.Published = report.NewLatencies(1)
	}
	if err := start(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close returns when the server's goroutines have ended.
func (s *Server) Close() error {
	close(s.quit)
	var err error
	for _, stop := range s.stops {
		err = errors.Join(err, stop())
	}
	s.closeConns()
	s.wg.Wait()
	return err
}

// onClose makes Close call stop.
func (s *Server) onClose(stop func() error) { s.stops = append(s.stops, stop) }
