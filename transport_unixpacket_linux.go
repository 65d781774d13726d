package chanio

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
)

// packets is the transport of a session over a unixpacket connection: a stream
// of messages, of which the kernel keeps the boundaries.
type packets struct {
	conn    *net.UnixConn
	under   *sock.Socket
	rc      syscall.RawConn
	session *Session
	largest int // the size of the largest packet that is received: MaxMessage
	in      inbox
	out     *sock.Writer

	// Used by the reader, between read and tryRead.
	tryReadFunc func(fd uintptr) bool
	buf         *buffer.Buffer
	n           int
	err         error
	reset       error // see next; nil until then
}

// newPackets returns the transport over conn, or nil if conn is no unixpacket
// connection.
func newPackets(conn net.Conn) transport {
	under := sock.Packets(conn)
	if under == nil {
		return nil
	}
	t := &packets{conn: conn.(*net.UnixConn), under: under, rc: under.RawConn(), out: sock.NewWriter(conn, under)}
	t.tryReadFunc = t.tryRead
	return t
}

func (t *packets) traits() traits {
	// An empty packet cannot be told from the end of the stream.
	return traits{messages: true, halfClose: true, minMessage: 1, maxMessage: int32(t.under.MaxPacket())}
}

func (t *packets) attach(s *Session)    { t.session, t.largest = s, s.set.MaxMessage }
func (t *packets) socket() *sock.Socket { return t.under }
func (t *packets) run(s *Session)       { s.readLoop(t) }
func (t *packets) inbox() *inbox        { return &t.in }
func (t *packets) interrupt()           { t.conn.SetReadDeadline(aLongTimeAgo) }
func (t *packets) resume()              { t.conn.SetReadDeadline(time.Time{}) }

// broken returns the writer's failure; see cutShort.
func (t *packets) broken() error {
	if !t.under.End().Gone {
		return nil
	}
	return t.out.Failure()
}

// read waits for a packet, for which it takes memory once it is there. A packet
// above MaxMessage ends the input.
func (t *packets) read(window) (*buffer.Buffer, int, error) {
	if err := t.rc.Read(t.tryReadFunc); err != nil {
		return nil, 0, err
	}
	b, n, err := t.buf, t.n, t.err
	t.buf, t.n, t.err = nil, 0, nil
	return b, n, err
}

func (t *packets) tryRead(fd uintptr) bool {
	size, err := t.next(fd)
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		t.err = os.NewSyscallError("read", err)
		return true
	case size == 0:
		t.err = io.EOF
		return true
	}
	t.buf = buffer.Get(min(size, t.largest))
	t.n, t.err = t.take(fd, t.buf.B[:min(size, t.largest)])
	if t.err == nil && size > t.largest {
		t.err = framingError{fmt.Errorf("%w: %d bytes, and MaxMessage is %d", ErrMessageTooLarge, size, t.largest)}
		t.n = 0
	}
	return true
}

// next returns the size of the next packet, 0 at the end of the input. If the
// peer has closed without reading everything, the kernel reports that once, ahead
// of the packets that the peer sent before; next reports it after them.
func (t *packets) next(fd uintptr) (size int, err error) {
	look := func() (int, error) { return sock.NextPacket(int(fd)) }
	size, err = sock.IgnoreEINTR(look)
	if err == syscall.ECONNRESET && t.reset == nil {
		t.reset = err
		size, err = sock.IgnoreEINTR(look)
	}
	if size == 0 && err == nil {
		err = t.reset
	}
	return size, err
}

// take reads a packet into p. The peer may have closed since next looked, and the
// kernel then reports that here.
func (t *packets) take(fd uintptr, p []byte) (n int, err error) {
	n, err = readNow(int(fd), p)
	if t.reset == nil && errors.Is(err, syscall.ECONNRESET) {
		t.reset = syscall.ECONNRESET
		n, err = readNow(int(fd), p)
	}
	return n, err
}

// write ends with an error of the connection. A hub's message that no packet can
// hold is lost alone; other sources have refused such a message.
func (t *packets) write(b *outBatch, f sock.Flow) error {
	for b.datagrams.done < len(b.parts) {
		if f.Over() {
			return ErrClosed
		}
		p := b.parts[b.datagrams.done]
		if len(p) > 0 { // only a hub's can be empty, and is nothing then
			if err := t.session.checkSize(len(p)); err != nil {
				t.session.nextFailed(b, err)
				continue
			}
			if _, err := t.out.Write([][]byte{p}, false, t.session.look(), f); err != nil {
				return err
			}
		}
		b.datagrams.done++
	}
	return nil
}

func (t *packets) closeWrite() (size int, err error) { return 0, t.conn.CloseWrite() }

func (t *packets) shut(reset bool) {
	if !reset {
		t.under.Drain(drainLimit)
	}
	t.conn.Close()
}

func (t *packets) count(*Stats)                              {}
func (t *packets) localAddr() net.Addr                       { return t.conn.LocalAddr() }
func (t *packets) remoteAddr() net.Addr                      { return t.conn.RemoteAddr() }
func (t *packets) tls() (state tls.ConnectionState, ok bool) { return state, false }
func (t *packets) syscallConn() (syscall.RawConn, error)     { return t.rc, nil }
