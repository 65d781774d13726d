// Package sock adds to kernel stream sockets what package net does not offer:
// writes that report progress, what a peer has acknowledged and whether it has
// ended, and draining input.
package sock

import (
	"net"
	"syscall"
)

// A Socket is a kernel stream socket under a net.Conn. Its methods are safe for
// concurrent use and do not block.
type Socket struct {
	rc  syscall.RawConn
	tcp bool
}

// Of returns the socket of conn, or nil if conn is not one. A type that embeds
// a *net.TCPConn may have its own Read and Write, so the types must match
// exactly.
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

// Progress is how much of what was written a peer has taken.
type Progress struct {
	Known bool   // false if the system does not report it
	Acked uint64 // changes when the peer takes something
	Left  int    // bytes not taken; on TCP the end of stream counts as one
}

// An End is what a socket knows about its peer without being read.
type End struct {
	Ended bool // the peer has ended its output; there may be input before that
	Gone  bool // nothing can be sent any more either: the peer or the connection is closed
	// Failed says that the connection was reset or has timed out. Once a call has
	// reported that, it shows only if something sent was cut off.
	Failed bool
}
