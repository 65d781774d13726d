package chanio

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"example.com/chanio/internal/buffer"
)

// A halfCloser is a connection that can end one direction: *net.TCPConn,
// *net.UnixConn, *tls.Conn.
type halfCloser interface{ CloseWrite() error }

// stream is the transport of a session over a net.Conn. Where the connection is
// a kernel's stream socket, raw takes over the reading and writing; else conn
// does it: the portable path.
type stream struct {
	conn   net.Conn
	half   halfCloser // nil if conn has no half-close
	raw    *rawConn   // nil on the portable path
	large  bool       // portable: the last read filled its block
	local  net.Addr
	remote net.Addr

	handed *Handover // what conn came in, until a session has looked; may be nil
	first  []byte    // input that was read before, of a Handover
}

// transportOf returns the transport of a session over a connection that the
// library has not made.
func transportOf(conn net.Conn) transport {
	if under, _ := unwrap(conn); isTLS(under) {
		return newGivenTLS(conn)
	}
	return newStream(conn)
}

func isTLS(conn net.Conn) bool {
	_, ok := conn.(*tls.Conn)
	return ok
}

// newStream returns the transport over conn, which may be a Handover.
func newStream(conn net.Conn) *stream {
	conn, handed := unwrap(conn)
	t := &stream{conn: conn, local: unmapAddr(conn.LocalAddr()), remote: unmapAddr(conn.RemoteAddr())}
	t.half, _ = conn.(halfCloser)
	if handed != nil {
		t.handed, t.first = handed, handed.Buffered
	}
	if rc := streamSocket(conn); rc != nil {
		t.raw = newRawConn(conn, rc)
	}
	return t
}

func (t *stream) run(s *Session) { s.readLoop(t) }

func (t *stream) traits() traits { return traits{halfClose: t.half != nil} }

func (t *stream) attach(*Session) {}

func (t *stream) count(*Stats) {}

// read waits for data and returns how many bytes it has put into w, and the buffer
// in which they are: w's, or one that is the caller's then. Without data it may
// return none.
func (t *stream) read(w window) (*buffer.Buffer, int, error) {
	if len(t.first) > 0 {
		return t.readFirst(w)
	}
	if t.raw != nil {
		return t.raw.read(w)
	}
	if w.buf == nil {
		// It is held while the read waits, so it is a small one unless there is
		// likely more.
		if !t.large {
			w.to = min(w.to, w.from+smallBlockSize)
		}
		w.buf = buffer.Get(w.to)
	}
	n, err := t.conn.Read(w.buf.B[w.from:w.to])
	t.large = n >= smallBlockSize
	return w.buf, n, err
}

// readFirst reads what was read before there was a session.
func (t *stream) readFirst(w window) (*buffer.Buffer, int, error) {
	if w.buf == nil {
		w.buf = buffer.Get(min(w.to, w.from+len(t.first)))
	}
	n := copy(w.buf.B[w.from:min(w.to, len(w.buf.B))], t.first)
	if t.first = t.first[n:]; len(t.first) == 0 {
		t.first = nil
	}
	return w.buf, n, nil
}

// interrupt makes reads that wait, now or later, fail with
// os.ErrDeadlineExceeded until resume.
func (t *stream) interrupt() { t.conn.SetReadDeadline(aLongTimeAgo) }
func (t *stream) resume()    { t.conn.SetReadDeadline(time.Time{}) }

func (t *stream) write(b *outBatch, s *Session) (int, error) {
	if t.raw != nil {
		return t.raw.write(b.parts, s)
	}
	return writeBuffers(t.conn, b.parts, blockSize, s)
}

// writeBuffers writes parts through conn, in groups of limit bytes.
func writeBuffers(conn net.Conn, parts [][]byte, limit int, s *Session) (sent int, err error) {
	defer s.output.stall.end()
	var group net.Buffers
	size := 0
	flush := func() error {
		n, err := writeGroup(conn, &group, s, resumable(conn))
		sent += n
		if err == nil && n < size {
			err = io.ErrShortWrite
		}
		group, size = nil, 0
		return err
	}
	for _, p := range parts {
		for len(p) > 0 {
			piece := p[:min(len(p), limit-size)]
			group, size, p = append(group, piece), size+len(piece), p[len(piece):]
			if size == limit {
				if err := flush(); err != nil {
					return sent, err
				}
			}
		}
	}
	if size > 0 {
		err = flush()
	}
	return sent, err
}

// looks is how often a write to a socket that waits is interrupted within a
// WriteTimeout, to see how much of it was taken: else its progress would show
// only at its end, and a peer that is slow look like one that takes nothing.
const looks = 4

// writeGroup writes group under the session's WriteTimeout, and looks at its
// progress if conn can bear that.
func writeGroup(conn net.Conn, group *net.Buffers, s *Session, looking bool) (sent int, err error) {
	looking = looking && s.set.WriteTimeout > 0
	s.output.stall.begin(s)
	for {
		look := time.Now().Add(s.set.WriteTimeout / looks)
		if looking {
			looking = conn.SetWriteDeadline(look) == nil
		}
		n, err := group.WriteTo(conn)
		sent += int(n)
		if n > 0 {
			s.progressed()
		}
		if !looking || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(look) || s.over() {
			return sent, err
		}
		if n > 0 {
			s.output.stall.begin(s)
		}
	}
}

// resumable reports whether a write to conn that timed out can go on behind what
// was taken, as one to a socket can. Anything else may have a tls.Conn in it,
// which can't. A type that embeds a socket may, too, so the types are exact.
func resumable(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

func (t *stream) closeWrite() error { return t.half.CloseWrite() }

// shut closes the connection. TLS's own Close would wait to send an alert, so
// it is the connection under it that is closed.
func (t *stream) shut(reset bool) {
	conn := underTLS(t.conn)
	if reset {
		abortConn(conn)
	} else {
		conn.Close()
	}
}

// abortConn closes conn, TCP with a reset.
func abortConn(conn net.Conn) error {
	if c, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		c.SetLinger(0) // an error leaves an ordinary close, which follows
	}
	return conn.Close()
}

// underTLS returns the connection under all TLS of conn.
func underTLS(conn net.Conn) net.Conn {
	for {
		switch c := conn.(type) {
		case *tls.Conn:
			conn = c.NetConn()
		case *recordConn:
			conn = c.Conn
		case *Handover:
			conn = c.Conn
		case *heardConn:
			conn = c.Conn
		default:
			return conn
		}
	}
}

func (t *stream) localAddr() net.Addr  { return t.local }
func (t *stream) remoteAddr() net.Addr { return t.remote }

func (t *stream) tls() (tls.ConnectionState, bool) {
	if tc, ok := t.conn.(*tls.Conn); ok {
		return tc.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// streamSocket returns conn's descriptor if it is a stream socket of the
// kernel's, else nil. A type that embeds one may have a Read of its own, so the
// types are exact.
func streamSocket(conn net.Conn) syscall.RawConn {
	var rc syscall.RawConn
	var err error
	switch c := conn.(type) {
	case *net.TCPConn:
		rc, err = c.SyscallConn()
	case *net.UnixConn:
		if a := c.LocalAddr(); a == nil || a.Network() != "unix" {
			return nil // datagrams
		}
		rc, err = c.SyscallConn()
	}
	if err != nil {
		return nil
	}
	return rc
}

// tune sets the socket options that set asks for.
func tune(conn net.Conn, set *settings) error {
	conn.SetDeadline(time.Time{}) // one left from before would end the session
	conn = underTLS(conn)
	if tc, ok := conn.(*net.TCPConn); ok {
		if set.Nagle {
			if err := tc.SetNoDelay(false); err != nil {
				return wrapOp("set", "tcp", tc.LocalAddr(), tc.RemoteAddr(), err)
			}
		}
		if set.KeepAlive != nil {
			if err := tc.SetKeepAliveConfig(*set.KeepAlive); err != nil {
				return wrapOp("set", "tcp", tc.LocalAddr(), tc.RemoteAddr(), err)
			}
		}
	}
	buffers, ok := conn.(interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	})
	if !ok {
		return nil
	}
	if set.ReadBuffer > 0 {
		if err := buffers.SetReadBuffer(set.ReadBuffer); err != nil {
			return wrapOp("set", conn.LocalAddr().Network(), conn.LocalAddr(), conn.RemoteAddr(), err)
		}
	}
	if set.WriteBuffer > 0 {
		if err := buffers.SetWriteBuffer(set.WriteBuffer); err != nil {
			return wrapOp("set", conn.LocalAddr().Network(), conn.LocalAddr(), conn.RemoteAddr(), err)
		}
	}
	return nil
}

// unmapAddr turns an IPv4-mapped IPv6 address, which a dual-stack socket
// reports, into the IPv4 address that it is.
func unmapAddr(a net.Addr) net.Addr {
	if t, ok := a.(*net.TCPAddr); ok && len(t.IP) == net.IPv6len {
		if ip := t.IP.To4(); ip != nil {
			return &net.TCPAddr{IP: ip, Port: t.Port}
		}
	}
	return a
}
