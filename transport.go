package chanio

import (
	"crypto/tls"
	"net"
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
	// run is the session's reader, in a goroutine that start starts. It
	// releases the session when it ends.
	run(s *Session)
	// interrupt makes the reader stop delivering; halted is closed after it.
	interrupt()
	// write sends what is in b and returns how many bytes the kernel took. It
	// tells s.output.stall when it waits and when there was progress.
	write(b *outBatch, s *Session) (n int, err error)
	// closeWrite sends the end of stream.
	closeWrite() error
	// shut closes the connection and ends reads and writes that wait. With
	// reset the peer is to see that the end was not an orderly one.
	shut(reset bool)

	// count adds what the socket has counted to st.
	count(st *Stats)
	localAddr() net.Addr
	remoteAddr() net.Addr
	tls() (tls.ConnectionState, bool)
}

// noTransport is the transport of a session that never began.
type noTransport struct{}

func (noTransport) traits() traits                         { return traits{} }
func (noTransport) attach(*Session)                        {}
func (noTransport) run(*Session)                           {}
func (noTransport) interrupt()                             {}
func (noTransport) write(*outBatch, *Session) (int, error) { return 0, ErrClosed }
func (noTransport) closeWrite() error                      { return nil }
func (noTransport) shut(bool)                              {}
func (noTransport) count(*Stats)                           {}
func (noTransport) localAddr() net.Addr                    { return nil }
func (noTransport) remoteAddr() net.Addr                   { return nil }
func (noTransport) tls() (s tls.ConnectionState, ok bool)  { return s, false }
