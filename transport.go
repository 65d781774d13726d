package chanio

import (
	"crypto/tls"
	"net"
)

// A transport moves a session's bytes: a stream, or the datagrams of one peer.
// run and interrupt are about reading, write and closeWrite are the writer's;
// the others may be called from anywhere.
type transport interface {
	// run is the session's reader, in a goroutine that start starts. It
	// releases the session when it ends.
	run(s *Session)
	// interrupt makes the reader stop delivering; halted is closed behind it.
	interrupt()
	// write sends what is in b and returns how many bytes the kernel took. It
	// tells s.output.stall when it waits and when there was progress.
	write(b *outBatch, s *Session) (n int, err error)
	// closeWrite sends the end of stream, or returns errNoHalfClose.
	closeWrite() error
	canHalfClose() bool
	// limit is the size of the largest message; 0 is none.
	limit() int
	// shut closes the connection and ends reads and writes that wait. With
	// reset the peer is to see that the end was not in order.
	shut(reset bool)

	localAddr() net.Addr
	remoteAddr() net.Addr
	tls() (tls.ConnectionState, bool)
}

// noTransport is the transport of a session that never began.
type noTransport struct{}

func (noTransport) run(*Session)                           {}
func (noTransport) interrupt()                             {}
func (noTransport) limit() int                             { return 0 }
func (noTransport) write(*outBatch, *Session) (int, error) { return 0, ErrClosed }
func (noTransport) closeWrite() error                      { return errNoHalfClose }
func (noTransport) canHalfClose() bool                     { return false }
func (noTransport) shut(bool)                              {}
func (noTransport) localAddr() net.Addr                    { return nil }
func (noTransport) remoteAddr() net.Addr                   { return nil }
func (noTransport) tls() (s tls.ConnectionState, ok bool)  { return s, false }
