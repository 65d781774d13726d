package chanio

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
)

// traits describe a transport. They are read once, into the session.
type traits struct {
	messages   bool      // preserves message boundaries: each message is sent, or fails, as a whole
	ahead      bool      // puts messages into Recv itself, even before that is asked for
	lossy      bool      // a failed message is lost and ends nothing
	halfClose  bool      // can end one direction; otherwise closeWrite is not called
	minMessage int32     // the size of the smallest message
	maxMessage int32     // the size of the largest message; 0: no bound
	now        nowWriter // the transport, if it can write without waiting
}

// A nowWriter is a transport that can write without waiting.
type nowWriter interface {
	// writeNow sends as much of b as it can without waiting, and reports to f what
	// the kernel took. It returns whether that was all. If not, write must send
	// the rest, which is left in b, or return the error that occurred.
	writeNow(b *outBatch, f sock.Flow) (all bool)
}

var (
	_ nowWriter = (*stream)(nil)
	_ nowWriter = (*tlsStream)(nil)
	_ nowWriter = (*peer)(nil)
)

// A transport moves a session's bytes: a stream, or the datagrams of one peer.
// The reader calls run, the writer write and closeWrite; the other methods may
// be called from anywhere.
type transport interface {
	traits() traits
	// attach sets the session that owns the transport, before anything of the
	// session runs.
	attach(s *Session)
	// socket returns the underlying kernel stream socket, or nil if there is
	// none.
	socket() *sock.Socket
	// run is the session's reader, in a goroutine started by start. It releases
	// the session when it ends.
	run(s *Session)
	// interrupt makes the reader stop delivering; halted is closed after it.
	interrupt()
	// write sends what is in b and reports to f all bytes that the kernel took.
	write(b *outBatch, f sock.Flow) error
	// closeWrite sends the end of stream. size is how many bytes it counts as in
	// the socket's sock.Progress.Left, or an upper bound where that is unknown.
	closeWrite() (size int, err error)
	// shut closes the connection and ends waiting reads and writes. With reset,
	// the peer sees that the end was abnormal. Without it, what the kernel has
	// taken still arrives.
	shut(reset bool)

	// count adds the socket's counters to st.
	count(st *Stats)
	localAddr() net.Addr
	remoteAddr() net.Addr
	tls() (tls.ConnectionState, bool)
}

// An input is a connection as its reader sees it.
type input interface {
	// inbox returns where the reader keeps what it has read.
	inbox() *inbox
	// read waits for data. It returns how many bytes it put into w and the
	// buffer that holds them: w's, or one that now belongs to the caller. Without
	// data it may return none. An error that is a framingError leaves the rest
	// of the input readable.
	read(w window) (*buffer.Buffer, int, error)
	// resume undoes interrupt.
	resume()
	// broken returns the error with which writing has failed, if the kernel says
	// that the connection is gone.
	broken() error
}

// checkSize returns the error of a message that the transport cannot hold.
func (s *Session) checkSize(n int) error {
	t := &s.traits
	switch {
	case n < int(t.minMessage):
		return fmt.Errorf("%w: an empty message would be the end of the stream", errors.ErrUnsupported)
	case t.maxMessage == 0 || n <= int(t.maxMessage):
		return nil
	case t.lossy:
		return fmt.Errorf("%w: %d bytes, and a datagram holds %d", ErrMessageTooLarge, n, t.maxMessage)
	}
	return fmt.Errorf("%w: %d bytes, and a packet holds %d", ErrMessageTooLarge, n, t.maxMessage)
}

// noTransport is the transport of a session that never began.
type noTransport struct{}

func (noTransport) traits() traits                        { return traits{} }
func (noTransport) attach(*Session)                       {}
func (noTransport) socket() *sock.Socket                  { return nil }
func (noTransport) run(*Session)                          {}
func (noTransport) interrupt()                            {}
func (noTransport) write(*outBatch, sock.Flow) error      { return ErrClosed }
func (noTransport) closeWrite() (size int, err error)     { return 0, nil }
func (noTransport) shut(bool)                             {}
func (noTransport) count(*Stats)                          {}
func (noTransport) localAddr() net.Addr                   { return nil }
func (noTransport) remoteAddr() net.Addr                  { return nil }
func (noTransport) tls() (s tls.ConnectionState, ok bool) { return s, false }
