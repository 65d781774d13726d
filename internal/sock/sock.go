// Package sock does with the kernel's stream sockets what package net does not
// offer: writes that tell of their progress, looks at what a peer has
// acknowledged and at whether it has ended, and input that is dropped.
package sock

import (
	"net"
	"syscall"
)

// A Socket is a stream socket of the kernel's under a net.Conn. Its methods are
// safe for concurrent use and do not wait.
type Socket struct {
	rc  syscall.RawConn
	tcp bool
}

// Of returns the socket of conn, nil if conn is none. A type that embeds a
// *net.TCPConn may have a Read and a Write of its own, so the types are exact.
func Of(conn net.Conn) *Socket {
	var rc syscall.RawConn
	var err error
	tcp := false
	switch c := conn.(type) {
	case *net.TCPConn:
		tcp = true
		rc, err = c.SyscallConn()
	case *net.UnixConn:
		if a := c.LocalAddr(); a == nil || a.Network() != "unix" {
			return nil // messages, not a stream
		}
		rc, err = c.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return &Socket{rc: rc, tcp: tcp}
}

// RawConn returns the socket's descriptor.
func (s *Socket) RawConn() syscall.RawConn { return s.rc }

// TCP reports whether it is a TCP socket. On others what was written is the
// peer's at once.
func (s *Socket) TCP() bool { return s.tcp }

// Progress is how far a peer has come with what was written to it.
type Progress struct {
	Known bool   // else the system does not tell
	Acked uint64 // changes when the peer takes something
	Left  int    // how many bytes it has not taken; on TCP the end of stream is one of them
}

// An End is what a socket knows of its peer without being read.
type End struct {
	Ended  bool // the peer has ended its output; there may be input before that
	Gone   bool // nothing can be sent any more either: the peer is closed, or the connection
	Failed bool // the connection has failed: it was reset, or has timed out
}
