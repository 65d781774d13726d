package chanio

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sock"
)

// A halfCloser is a connection that can end one direction: *net.TCPConn,
// *net.UnixConn, *tls.Conn.
type halfCloser interface{ CloseWrite() error }

// stream is the transport of a session over a net.Conn. If the connection is a
// kernel stream socket, raw reads and writes it. Otherwise conn does, on the
// portable path.
type stream struct {
	conn    net.Conn
	half    halfCloser   // nil if conn has no half-close
	under   *sock.Socket // the kernel's stream socket under conn; nil if there is none
	raw     *rawConn     // nil on the portable path
	large   bool         // portable: the last read filled its block
	session *Session     // the session that owns the transport
	in      inbox        // the reader's
	local   net.Addr
	remote  net.Addr

	handed *Handover // the Handover that held conn, until a session has taken it; may be nil
	first  []byte    // a Handover's buffered input
}

var (
	_ input = (*stream)(nil)
	_ input = (*givenTLS)(nil)
	_ input = (*packets)(nil)
)

// transportOf returns the transport of a session over a connection that the
// library did not make.
func transportOf(conn net.Conn, set *settings) (transport, error) {
	if t := newPackets(conn); t != nil {
		return t, set.checkPackets()
	}
	if err := checkStream(conn); err != nil {
		return nil, err
	}
	if under, _ := unwrap(conn); isTLS(under) {
		return newGivenTLS(conn), nil
	}
	return newStream(conn), nil
}

// checkStream rejects a connection with message boundaries, which a stream
// would lose.
func checkStream(conn net.Conn) error {
	conn, _ = unwrap(conn)
	local := underTLS(conn).LocalAddr()
	if local == nil {
		return nil
	}
	switch network := local.Network(); network {
	case "unixpacket", "unixgram", "udp", "udp4", "udp6", "ip", "ip4", "ip6":
		return wrapOp("session", network, local, conn.RemoteAddr(), fmt.Errorf("message boundaries would be lost in a stream: %w", errors.ErrUnsupported))
	}
	return nil
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
	if t.under = sock.Of(underTLS(conn)); t.under != nil && !isTLS(conn) {
		t.raw = newRawConn(conn, t.under)
	}
	return t
}

func (t *stream) run(s *Session) { s.readLoop(t) }

func (t *stream) traits() traits {
	traits := traits{halfClose: t.half != nil}
	if t.raw != nil && sock.TriesWrites {
		traits.now = t
	}
	return traits
}

func (t *stream) attach(s *Session) { t.session = s }

func (t *stream) socket() *sock.Socket { return t.under }

func (t *stream) count(*Stats) {}

func (t *stream) inbox() *inbox { return &t.in }

// broken returns the writer's failure; see cutShort.
func (t *stream) broken() error {
	if t.raw == nil || !t.under.End().Gone {
		return nil
	}
	return t.raw.out.Failure()
}

func (t *stream) read(w window) (*buffer.Buffer, int, error) {
	if len(t.first) > 0 {
		return t.readFirst(w)
	}
	if t.raw != nil {
		return t.raw.read(w)
	}
	if w.buf == nil {
		// The buffer is held while the read waits, so it is small unless there
		// is probably more to come.
		if !t.large {
			w.to = min(w.to, w.from+smallBlockSize)
		}
		w.buf = buffer.Get(w.to)
	}
	n, err := t.conn.Read(w.buf.B[w.from:w.to])
	t.large = n >= smallBlockSize
	return w.buf, n, err
}

// readFirst returns input that was read before the session began.
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

// interrupt makes current and future reads fail with os.ErrDeadlineExceeded
// until resume.
func (t *stream) interrupt() { t.conn.SetReadDeadline(aLongTimeAgo) }
func (t *stream) resume()    { t.conn.SetReadDeadline(time.Time{}) }

func (t *stream) write(b *outBatch, f sock.Flow) error {
	var err error
	if t.raw != nil {
		_, err = t.raw.out.Write(b.parts, b.fresh(), t.session.look(), f)
	} else {
		_, err = sock.WriteParts(t.conn, b.parts, blockSize, t.session.look(), f)
	}
	return err
}

func (t *stream) writeNow(b *outBatch, f sock.Flow) (all bool) {
	// An error is returned by write too.
	n, _ := t.raw.out.TryWrite(b.parts, b.fresh())
	if n > 0 {
		f.Progress(n)
	}
	b.taken(n)
	return len(b.parts) == 0
}

// closeWrite sends a FIN, which TCP counts as one byte.
func (t *stream) closeWrite() (size int, err error) { return 1, t.half.CloseWrite() }

// shut closes the connection. TLS's own Close would wait to send an alert, so
// shut closes the connection under it.
func (t *stream) shut(reset bool) {
	conn := underTLS(t.conn)
	if reset {
		abortConn(conn)
		return
	}
	if t.under != nil {
		if isTLS(t.conn) {
			// A reader that finds a gap where Drain has taken input must not send an
			// alert about it.
			conn.SetWriteDeadline(aLongTimeAgo)
		}
		t.under.Drain(drainLimit)
	}
	conn.Close()
}

// drainLimit is how much input a clean end discards: what a kernel's buffer
// holds by default, and no more for a peer that keeps sending.
const drainLimit = 8 << 20

// abortConn closes conn, TCP with a reset.
func abortConn(conn net.Conn) error {
	if c, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		c.SetLinger(0) // an error leaves an ordinary close, which follows
	}
	return conn.Close()
}

// underTLS returns the connection beneath all TLS layers of conn.
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

// tune applies the socket options in set.
func tune(conn net.Conn, set *settings) error {
	conn.SetDeadline(time.Time{}) // an earlier deadline would end the session
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

// unmapAddr turns an IPv4-mapped IPv6 address, as a dual-stack socket reports
// it, into the IPv4 address.
func unmapAddr(a net.Addr) net.Addr {
	if t, ok := a.(*net.TCPAddr); ok && len(t.IP) == net.IPv6len {
		if ip := t.IP.To4(); ip != nil {
			return &net.TCPAddr{IP: ip, Port: t.Port}
		}
	}
	return a
}
