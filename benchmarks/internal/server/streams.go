package server

import (
	"crypto/tls"
	"net"
)

// add makes Close close conn. If it has begun, add itself does and returns false.
func (s *Server) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
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
	s.over = true
	for conn := range s.conns {
		conn.Close()
	}
}

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
			if s.add(conn) {
				s.wg.Go(func() { s.run(conn, handle) })
			}
		}
	})
	return nil
}

func (s *Server) run(conn net.Conn, handle func(net.Conn)) {
	defer s.remove(conn)
	// A multicast member may have nothing to read or write for long while its
	// peer waits for the handshake.
	if t, ok := conn.(*tls.Conn); ok && t.Handshake() != nil {
		return
	}
	handle(conn)
}
