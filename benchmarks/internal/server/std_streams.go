package server

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// stdStreamServer accepts connections and runs a handler goroutine for each.
type stdStreamServer struct {
	ln     net.Listener
	handle func(net.Conn)
	wg     sync.WaitGroup // the accept loop and the handlers

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

// stdStreams listens, runs handle for each connection and closes the connection
// when handle returns. When the server closes, handle's reads and writes fail.
func stdStreams(ctx context.Context, c Config, handle func(net.Conn)) (Server, error) {
	ln, err := c.Endpoint.Listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &stdStreamServer{ln: ln, handle: handle, conns: make(map[net.Conn]struct{})}
	s.wg.Go(s.accept)
	return s, nil
}

// accept ends when the listener is closed.
func (s *stdStreamServer) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		if !s.add(conn) {
			conn.Close()
			return
		}
		s.wg.Go(func() { s.run(conn) })
	}
}

// run ends when handle returns.
func (s *stdStreamServer) run(conn net.Conn) {
	defer s.remove(conn)
	// A multicast member may have nothing to read or write for long while its
	// peer waits for the handshake.
	if t, ok := conn.(*tls.Conn); ok && t.Handshake() != nil {
		return
	}
	s.handle(conn)
}

func (s *stdStreamServer) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *stdStreamServer) remove(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *stdStreamServer) Addr() string { return s.ln.Addr().String() }

func (s *stdStreamServer) Close() error {
	err := s.ln.Close()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return err
}
