package chanio

import (
	"crypto/tls"
	"net"

	"example.com/chanio/internal/sock"
)

// traits say what a transport is like. They are read once, into the session.
type traits struct {
	messages   bool // it keeps messages apart itself: each goes out, or fails, as a whole
	lossy      bool // a message that fails is lost, and ends nothing
	halfClose  bool // it can end one direction; else closeWrite is not called
	maxMessage int  // the size of the largest message; 0: no bound
}

// A transport moves a session's bytes: a stream, or the datagrams of one peer.
// run and interrupt are about reading, write and closeWrite are the writer's;
// the others may be called from anywhere.
type transport interface {
	traits() traits
	// attach tells whose transport it is, before anything of the session runs.
	attach(s *Session)
	// socket is the kernel's stream socket under it, nil if there is none.
	socket() *sock.Socket
	// run is the session's reader, in a goroutine that start starts. It
	// releases the session when it ends.
	run(s *Session)
	// interrupt makes the reader stop delivering; halted is closed after it.
	interrupt()
	// write sends what is in b, and tells f of all bytes that the kernel took.
	write(b *outBatch, f sock.Flow) error
	// closeWrite sends the end of stream.
	closeWrite() error
	// shut closes the connection and ends reads and writes that wait. With
	// reset the peer sees that the end was not an orderly one; without, what the
	// kernel has taken still arrives.
	shut(reset bool)

	// count adds what the socket has counted to st.
	count(st *Stats)
	localAddr() net.Addr
	remoteAddr() net.Addr
	tls() (tls.ConnectionState, bool)
}

// noTransport is the transport of a session that never began.
type noTransport struct{}

func (noTransport) traits() traits                        { return traits{} }
func (noTransport) attach(*Session)                       {}
func (noTransport) socket() *sock.Socket                  { return nil }
func (noTransport) run(*Session)                          {}
func (noTransport) interrupt()                            {}
func (noTransport) write(*outBatch, sock.Flow) error      { return ErrClosed }
func (noTransport) closeWrite() error                     { return nil }
func (noTransport) shut(bool)                             {}
func (noTransport) count(*Stats)                          {}
func (noTransport) localAddr() net.Addr                   { return nil }
func (noTransport) remoteAddr() net.Addr                  { return nil }
func (noTransport) tls() (s tls.ConnectionState, ok bool) { return s, false }
