package server

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// conns are the connections of a server.
type conns struct {
	mu     sync.Mutex
	closed bool
	set    map[net.Conn]struct{}
}

// add adds conn, or closes it and returns false if the server is closed.
func (c *conns) add(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return false
	}
	if c.set == nil {
		c.set = make(map[net.Conn]struct{})
	}
	c.set[conn] = struct{}{}
	return true
}

func (c *conns) remove(conn net.Conn) {
	conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.set, conn)
}

func (c *conns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.set {
		conn.Close()
	}
}

// A streamServer accepts connections and runs a handler goroutine for each.
type streamServer struct {
	ln     net.Listener
	handle func(net.Conn)
	wg     sync.WaitGroup // the accept loop and the handlers
	conns  conns
}

// stdStreams listens, runs handle for each connection and closes the connection
// when handle returns. When the server closes, handle's reads and writes fail.
func stdStreams(ctx context.Context, c Config, handle func(net.Conn)) (Server, error) {
	ln, err := c.Endpoint.Listen(ctx)
	if err != nil {
		return nil, err
	}
	s := &streamServer{ln: ln, handle: handle}
	s.wg.Go(s.accept)
	return s, nil
}

// accept ends when the listener is closed.
func (s *streamServer) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		if s.conns.add(conn) {
			s.wg.Go(func() { s.run(conn) })
		}
	}
}

// run ends when handle returns.
func (s *streamServer) run(conn net.Conn) {
	defer s.conns.remove(conn)
	// A multicast member may have nothing to read or write for long while its
	// peer waits for the handshake.
	if t, ok := conn.(*tls.Conn); ok && t.Handshake() != nil {
		return
	}
	s.handle(conn)
}

func (s *streamServer) Addr() string { return s.ln.Addr().String() }

func (s *streamServer) Close() error {
	err := s.ln.Close()
	s.conns.close()
	s.wg.Wait()
	return err
}
