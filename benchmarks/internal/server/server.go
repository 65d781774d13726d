// Package server has the servers that the benchmarks measure: each job in each
// implementation.
package server

import (
	"context"
	"crypto/tls"
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
	ctx    context.Context // ends first in Close
	quit   context.CancelFunc
	stops  []func() error // called by Close; they make goroutines end
	wg     sync.WaitGroup // all goroutines

	mu    sync.Mutex
	conns map[net.Conn]struct{} // for Close to close; nil once it has
}

// starters maps each job to its implementations by name. If a starter
// fails, Close ends what it has begun.
func starters() map[string]map[string]func(*Server) error {
	return map[string]map[string]func(*Server) error{
		"echo": {
			"chanio": chanioEcho, "packetconn": packetEcho,
			"std": stdEcho, "netpoll": netpollEcho,
			"gorilla": echoPeers(gorillaUpgrade), "coder": echoPeers(coderUpgrade), "gws": gwsEcho,
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
	s := &Server{config: c, conns: make(map[net.Conn]struct{})}
	s.ctx, s.quit = context.WithCancel(context.Background())
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
	s.quit()
	s.closeConns()
	var err error
	for _, stop := range s.stops {
		err = errors.Join(err, stop())
	}
	s.wg.Wait()
	return err
}

// onClose makes Close call stop.
func (s *Server) onClose(stop func() error) { s.stops = append(s.stops, stop) }

// listen binds the server to its address.
func (s *Server) listen() (net.Listener, error) {
	ln, err := s.config.Listen()
	if err == nil {
		s.Addr = ln.Addr().String()
	}
	return ln, err
}

// serveStreams runs handle for each connection in a goroutine and closes the
// connection when handle returns. When the server closes, handle's reads and
// writes fail.
func (s *Server) serveStreams(handle func(net.Conn)) error {
	ln, err := s.listen()
	if err != nil {
		return err
	}
	s.onClose(ln.Close)
	s.wg.Go(func() { // ends when ln is closed
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.run(conn, handle) })
		}
	})
	return nil
}

func (s *Server) run(conn net.Conn, handle func(net.Conn)) {
	s.add(conn)
	defer s.remove(conn)
	// A multicast member may have nothing to read or write for long while its
	// peer waits for the handshake.
	if t, ok := conn.(*tls.Conn); ok && t.Handshake() != nil {
		return
	}
	handle(conn)
}

// add makes Close close conn, which add itself does if Close already has. It takes
// next to no memory, which would count as the measured server's.
func (s *Server) add(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		conn.Close()
		return
	}
	s.conns[conn] = struct{}{}
}

// remove closes conn.
func (s *Server) remove(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *Server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
}
