package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"

	"example.com/chanio/internal/datagram"
	"example.com/chanio/internal/sock"
)

// dialed is the transport of a dialed udp session, which has its own connected
// socket.
type dialed struct {
	session       *Session
	conn          *datagram.Conn
	local, remote netip.AddrPort

	// Only the reader uses these.
	sizes   *sizeRing // of what is in recv; nil if recv buffers nothing
	stalled bool      // see fits
}

func newDialed(udp *net.UDPConn, network string, set *settings) (*dialed, error) {
	remote := datagram.Unmap(udp.RemoteAddr().(*net.UDPAddr).AddrPort())
	conn, err := datagram.New(udp, network, datagramConfig(set, false))
	if err != nil {
		return nil, wrapOp("dial", network, nil, udpAddr(remote), err)
	}
	if err := setMulticast(conn, network, set); err != nil {
		conn.Close()
		return nil, err
	}
	return &dialed{conn: conn, local: conn.LocalAddr(), remote: remote}, nil
}

// givenDatagrams returns the transport over a connected socket that the user
// supplies.
func givenDatagrams(ctx context.Context, udp *net.UDPConn, o *Options) (transport, *settings, error) {
	set, err := dialSettings(ctx, "udp", o)
	if err == nil {
		err = tune(udp, set)
	}
	if err != nil {
		return nil, nil, err
	}
	tr, err := newDialed(udp, "udp", set)
	if err != nil {
		return nil, nil, err
	}
	return tr, set, nil
}

// chooseInterface makes d choose the interface for groups before it connects, if
// it dials a datagram socket.
func chooseInterface(d *net.Dialer, network string, ifi *net.Interface) {
	if ifi == nil || !strings.HasPrefix(network, "udp") {
		return
	}
	before, beforeContext := d.Control, d.ControlContext
	d.ControlContext = func(ctx context.Context, network, address string, raw syscall.RawConn) error {
		var err error
		switch { // the same precedence as in net.Dialer
		case beforeContext != nil:
			err = beforeContext(ctx, network, address, raw)
		case before != nil:
			err = before(network, address, raw)
		}
		if err != nil {
			return err
		}
		return datagram.SetInterface(raw, network, ifi)
	}
}

// setMulticast applies the multicast options for sending.
func setMulticast(conn *datagram.Conn, network string, set *settings) error {
	return wrapOp("set", network, udpAddr(conn.LocalAddr()), nil, conn.SetMulticast(datagram.Multicast{
		Interface:  set.Multicast.Interface,
		TTL:        set.Multicast.TTL,
		NoLoopback: set.Multicast.NoLoopback,
	}))
}

// run is the session's reader. start starts it; it ends when the session is
// halted or ends.
func (t *dialed) run(s *Session) {
	defer s.release()
	err := t.conn.Receive(t.deliver)
	if err != nil {
		s.end(s.errorAt("read", err))
	}
	s.closeRecv()
}

// deliver puts a batch into recv. It reports whether there may be more. It counts
// the batch first, so that a datagram received is already in Stats.
func (t *dialed) deliver(batch []datagram.Packet) bool {
	s := t.session
	s.received(int(size(batch)))
	defer s.touch()
	s.stats.messagesReceived.Add(int64(len(batch)))
	for i := range batch {
		m := batch[i].Data
		if form(s.form.Load()) != formBatches && !t.fits(len(m)) {
			s.dropped(1, int64(len(m)))
			continue
		}
		if !t.putEarly(m) {
			f, err := s.awaitForm()
			if err == nil && f == formBatches {
				return t.deliverBatched(batch[i:])
			}
			if err == nil {
				err = handOut(s, s.recv, m)
			}
			if err != nil {
				s.dropped(int64(len(batch[i:])), size(batch[i:]))
				return false
			}
		}
		if t.sizes != nil {
			t.sizes.push(len(m))
		}
	}
	return true
}

// putEarly puts m into recv if no form was asked for and there is room. It
// reports whether it did.
func (t *dialed) putEarly(m []byte) bool {
	s := t.session
	if form(s.form.Load()) != formUnknown {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if form(s.form.Load()) != formUnknown {
		return false
	}
	select {
	case s.recv <- m:
		return true
	default:
		return false
	}
}

// deliverBatched is deliver, of what is counted, if batches were asked for.
func (t *dialed) deliverBatched(run []datagram.Packet) bool {
	for len(run) > 0 {
		if n := t.addToWaiting(run); n > 0 {
			run = run[n:]
			continue
		}
		b := NewBatch()
		n := b.fill(run)
		if handOut(t.session, t.session.recvBatch, b) != nil {
			b.Release()
			t.session.dropped(int64(len(run)), size(run))
			return false
		}
		run = run[n:]
	}
	return true
}

// addToWaiting adds datagrams to what waits in recvBatch, as many as there is
// room for without waiting, and returns how many.
func (t *dialed) addToWaiting(run []datagram.Packet) (n int) {
	s := t.session
	s.mu.Lock() // the session's timer must not see recvBatch without them
	defer s.mu.Unlock()
	var one [1]*Batch
	waiting, n := gather(s.takeBack(one[:0]), cap(s.recvBatch), run)
	s.giveBack(waiting)
	return n
}

// fits reports whether recv has room for n more bytes. If not, the receiver may
// only lack the processor that the reader occupies; once that did not help, it
// has to catch up first.
func (t *dialed) fits(n int) bool {
	if t.sizes == nil {
		return true
	}
	queued := t.sizes.sum(len(t.session.recv))
	if queued+n <= recvBytes {
		t.stalled = t.stalled && queued > recvBytes/2
		return true
	}
	if t.stalled {
		return false
	}
	runtime.Gosched()
	t.stalled = t.sizes.sum(len(t.session.recv))+n > recvBytes
	return !t.stalled
}

func (t *dialed) interrupt() { t.conn.StopReceiving() }

func (t *dialed) write(b *outBatch, f sock.Flow) error {
	return writeDatagrams(t.conn, datagram.Packet{Addr: t.remote}, b, t.session, f)
}

func (t *dialed) traits() traits { return datagramTraits(t.remote) }
func (t *dialed) attach(s *Session) {
	t.session = s
	s.recv = make(chan []byte, s.set.RecvQueue) // filled even before the first call of Recv
	if n := s.set.RecvQueue; n > 0 {
		t.sizes = newSizeRing(n + 1) // one may have been received since sum
	}
}
func (t *dialed) socket() *sock.Socket              { return nil }
func (t *dialed) closeWrite() (size int, err error) { return 0, nil }
func (t *dialed) shut(bool)                         { t.conn.Close() }
func (t *dialed) count(st *Stats) {
	st.KernelDropped += t.conn.KernelDropped()
	st.Refused += t.conn.Refused()
}

func (t *dialed) localAddr() net.Addr                       { return udpAddr(t.local) }
func (t *dialed) remoteAddr() net.Addr                      { return udpAddr(t.remote) }
func (t *dialed) tls() (state tls.ConnectionState, ok bool) { return state, false }

// datagramTraits returns the traits of a session whose messages are datagrams to
// remote.
func datagramTraits(remote netip.AddrPort) traits {
	return traits{messages: true, ahead: true, lossy: true, maxMessage: int32(datagram.MaxPayload(remote.Addr()))}
}

// writeDatagrams sends each part of b as a datagram addressed like to. A
// datagram that cannot be sent is an event and does not end the session; to a
// hub it is no progress.
func writeDatagrams(conn *datagram.Conn, to datagram.Packet, b *outBatch, s *Session, f sock.Flow) error {
	packets := datagramsOf(b, to)
	defer packets.free()
	f.Wait()
	for rest := packets.packets; len(rest) > 0; {
		if s.over() {
			return ErrClosed // the socket may stay open for other sessions
		}
		n, err := conn.Write(rest)
		b.datagrams.done += n
		f.Progress(int(size(rest[:n])))
		rest = rest[n:]
		switch {
		case err == nil:
			continue
		case errors.Is(err, net.ErrClosed):
			return err
		case n > 0:
			f.Wait()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && s.holdsPublisher() {
			s.writeExpired() // dropping what a publisher waits for would be no progress
			return ErrClosed
		}
		s.nextFailed(b, err)
		rest = rest[1:]
	}
	return nil
}

// datagramsOf returns the parts of b that were neither sent nor failed, each
// addressed like to.
func datagramsOf(b *outBatch, to datagram.Packet) *packetBatch {
	packets := packetBatches.Get().(*packetBatch)
	for _, p := range b.parts[b.datagrams.done:] {
		to.Data = p
		packets.add(Packet(to))
	}
	return packets
}

// nextFailed records that the next datagram of b cannot be sent.
func (s *Session) nextFailed(b *outBatch, err error) {
	p, m := b.failed()
	if m != nil {
		m.failed(len(p))
	}
	err = s.datagramFailed(len(p), err)
	if m != nil && s.reg == nil { // nobody else reports it
		m.feed.hub.events.emit(Event{Kind: EventFailed, Session: s, Err: err})
	}
}

// datagramFailed reports a datagram that could not be sent: to Stats, to Flush
// and Close, and to Events if there are any. It returns the error that it reported.
func (s *Session) datagramFailed(size int, err error) error {
	s.stats.messagesDropped.Add(1)
	s.stats.undelivered.Add(int64(size))
	if e := s.checkSize(size); e != nil {
		err = e // the clearer error
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		err = &timeoutError{"WriteTimeout", s.set.WriteTimeout}
	}
	err = s.errorAt("write", err)
	s.losses().note(err)
	if s.reg != nil {
		s.reg.events.emit(Event{Kind: EventFailed, Session: s, Err: err})
	}
	return err
}
