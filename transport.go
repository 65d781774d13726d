package chanio

import (
	"crypto/tls"
	"io"
	"net"
)

// A transport moves a session's bytes: a stream, or the datagrams of one peer.
// read, interrupt and resume are for the reader, write and closeWrite for the
// writer; the others may be called from anywhere.
type transport interface {
	// read waits for data and returns it in the first n bytes of b, which is
	// the caller's then. b may come with an error, and nil without data.
	read() (b *block, n int, err error)
	// interrupt makes reads that wait, now or later, fail with
	// os.ErrDeadlineExceeded until resume.
	interrupt()
	resume()
	// write sends what is in b and returns how many bytes the kernel took. It
	// tells s.output.stall when it waits and when there was progress.
	write(b *batch, s *Session) (n int, err error)
	// closeWrite sends the end of stream, or returns errNoHalfClose.
	closeWrite() error
	canHalfClose() bool
	// shut closes the connection and ends reads and writes that wait. With
	// reset the peer is to see that the end was not in order.
	shut(reset bool)

	localAddr() net.Addr
	remoteAddr() net.Addr
	tls() (tls.ConnectionState, bool)
}

// noTransport is the transport of a session that never began.
type noTransport struct{}

func (noTransport) read() (*block, int, error)            { return nil, 0, io.EOF }
func (noTransport) interrupt()                            {}
func (noTransport) resume()                               {}
func (noTransport) write(*batch, *Session) (int, error)   { return 0, ErrClosed }
func (noTransport) closeWrite() error                     { return errNoHalfClose }
func (noTransport) canHalfClose() bool                    { return false }
func (noTransport) shut(bool)                             {}
func (noTransport) localAddr() net.Addr                   { return nil }
func (noTransport) remoteAddr() net.Addr                  { return nil }
func (noTransport) tls() (s tls.ConnectionState, ok bool) { return s, false }
