package chanio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/datagram"
)

// A Packet is one datagram. IPv4-mapped addresses are unmapped.
type Packet struct {
	// Addr is the peer: the sender of a received packet, the destination of one
	// to be sent.
	Addr netip.AddrPort
	// Local is the address that the peer wrote to: one of this host's, or a
	// group's. In a packet to be sent it is the source address if it is one of
	// this host's unicast addresses; otherwise, or if it is the zero value, the
	// system chooses. Its port is ignored. A reply made from a received packet
	// thus leaves from the address that the peer expects. An endpoint bound to
	// one unicast address sends from that one.
	//
	// If the system does not report it, Local is the address that the endpoint
	// is bound to.
	Local netip.AddrPort
	// IfIndex is the index of the interface on which a packet arrived, or 0 if
	// the system does not report it. If it is not 0, it selects the outgoing
	// interface of a packet to a multicast group or an IPv6 link-local address.
	// Other packets follow the system's routes.
	IfIndex int
	// Data is the payload. The receiver of a packet owns it, and its capacity
	// is its length. Data belongs to the library once the packet is sent.
	Data []byte
}

// A PacketConn is an endpoint for datagrams to and from any peer, and for
// multicast groups. Packets arrive on Recv and leave on Send; Done and Err
// report how it ended. All methods are safe for concurrent use.
//
// It ends on Close or Abort, with its context, or when the socket fails. The
// fate of one datagram does not end it: one that can't be sent is an
// [EventFailed], and a refusal by a peer (ICMP) is counted in Stats.Refused if
// the system reports it. Linux does so only for a udp [Dial].
type PacketConn struct {
	set     *settings
	network string
	conn    *datagram.Conn
	parent  context.Context // its values are Context's
	unwatch func()          // stops watching parent
	events  *eventQueue

	id         uint64             // unique in the process: the owner of batches put to it
	recv       chan Packet        // sent and closed by the reader
	recvBatch  chan *PacketBatch  // likewise
	asked      chan struct{}      // closed when form is known
	send       chan Packet        // received by the writer; only the user may close it
	sendBatch  chan *PacketBatch  // likewise
	flushes    chan chan struct{} // calls of Flush; the writer answers by closing what it receives
	refused    chan struct{}      // closed when nothing more is accepted or received
	writerDone chan struct{}      // closed when the writer has ended
	putsGone   chan struct{}      // closed when nothing more is accepted and no Put is in progress
	done       chan struct{}      // closed by the reader, as its last act
	linksDone  chan struct{}      // closed when the interfaces are no longer watched

	stats  counters
	loss   loss          // since the last Flush
	puts   putGate       // Puts in progress
	writer atomic.Bool   // the writer was started; set under mu
	form   atomic.Uint32 // the form asked for; set under early
	early  sync.Mutex    // guards what arrives before that
	late   bool          // the endpoint ended before that, so recvBatch is still to be closed; guarded by early

	mu       sync.Mutex // guards what follows; never held while blocking
	err      error
	closeErr error               // what Close returns
	refusing bool                // refused is closed
	closing  bool                // Close has begun
	over     bool                // the endpoint has ended: the socket is closed
	finished bool                // nothing more is accepted, and no writer started
	links    *datagram.LinkWatch // of the groups' interfaces; nil until the first group is joined
	timer    *time.Timer
	ctx      context.Context // made by the first call of Context
	cancel   context.CancelCauseFunc
}

// ListenPacket binds address and serves it until ctx ends. The context bounds
// the endpoint's lifetime, not the call. Networks are udp, udp4 and udp6; udp
// on a wildcard address means IPv4 and IPv6. Nil options mean the defaults.
//
// To receive from a multicast group, use [ListenMulticast], or JoinGroup on an
// endpoint that ListenPacket bound to a wildcard address. To send to a group,
// its address is enough.
func ListenPacket(ctx context.Context, network, address string, o *Options) (*PacketConn, error) {
	return listenPacket(ctx, network, address, o, false)
}

// listenPacket is ListenPacket. oneByOne makes it use one system call per
// datagram even where there are batches.
func listenPacket(ctx context.Context, network, address string, o *Options, oneByOne bool) (*PacketConn, error) {
	set, err := datagramSettings(ctx, "listen", network, o)
	if err != nil {
		return nil, err
	}
	conn, err := datagram.Listen(ctx, network, address, datagramConfig(set, oneByOne))
	if err != nil {
		return nil, wrapOp("listen", network, nil, nil, err)
	}
	return newPacketConn(ctx, network, conn, set)
}

// datagramSettings resolves options for a udp network.
func datagramSettings(ctx context.Context, op, network string, o *Options) (*settings, error) {
	switch network {
	case "udp", "udp4", "udp6":
	default:
		return nil, wrapOp(op, network, nil, nil, net.UnknownNetworkError(network))
	}
	set, err := o.resolve(true)
	switch {
	case err != nil:
		return nil, err
	case set.TLS != nil:
		return nil, fmt.Errorf("chanio: option TLS is not for %s", network)
	case set.Framing != nil:
		return nil, fmt.Errorf("chanio: option Framing is not for %s: a datagram is a message", network)
	case set.ProxyProtocol:
		return nil, fmt.Errorf("chanio: option ProxyProtocol is not for %s", network)
	case set.MaxSessionsPerAddr != 0:
		return nil, fmt.Errorf("chanio: option MaxSessionsPerAddr is not for %s: an address can be forged", network)
	case ctx.Err() != nil:
		return nil, wrapOp(op, network, nil, nil, contextError(ctx))
	}
	return set, nil
}

func datagramConfig(set *settings, oneByOne bool) datagram.Config {
	return datagram.Config{
		ReuseAddr:    set.ReuseAddr,
		ReusePort:    set.ReusePort,
		ReadBuffer:   set.ReadBuffer,
		WriteBuffer:  set.WriteBuffer,
		WriteTimeout: set.WriteTimeout,
		OneByOne:     oneByOne,
		Control:      set.Control,
	}
}

// newPacketConn starts an endpoint over conn, which belongs to it from then on,
// even if there is an error.
func newPacketConn(ctx context.Context, network string, conn *datagram.Conn, set *settings) (*PacketConn, error) {
	if err := setMulticast(conn, network, set); err != nil {
		conn.Close()
		return nil, err
	}
	p := makePacketConn(ctx, network, conn, set)
	p.start()
	return p, nil
}

// makePacketConn returns an endpoint over conn that is still to be started.
func makePacketConn(ctx context.Context, network string, conn *datagram.Conn, set *settings) *PacketConn {
	return &PacketConn{
		set:        set,
		network:    network,
		conn:       conn,
		parent:     ctx,
		events:     newEventQueue(set),
		id:         lastID.Add(1),
		recv:       make(chan Packet, set.RecvQueue),
		recvBatch:  make(chan *PacketBatch, min(1, set.RecvQueue)),
		asked:      make(chan struct{}),
		send:       make(chan Packet, set.SendQueue),
		sendBatch:  make(chan *PacketBatch, min(1, set.SendQueue)),
		flushes:    make(chan chan struct{}),
		refused:    make(chan struct{}),
		writerDone: make(chan struct{}),
		done:       make(chan struct{}),
		putsGone:   make(chan struct{}),
		linksDone:  make(chan struct{}),
	}
}

// start starts p, which may have ended already.
func (p *PacketConn) start() {
	p.watch()
	p.events.emit(Event{Kind: EventStarted})
	go p.readLoop()
}

// watch ends p with its parent.
func (p *PacketConn) watch() {
	ended := make(chan struct{})
	stop := context.AfterFunc(p.parent, func() {
		defer close(ended)
		p.terminate(contextError(p.parent))
	})
	p.unwatch = func() {
		if !stop() {
			<-ended
		}
	}
}

// Events returns the channel of the endpoint's events. It never blocks the
// endpoint: beyond Options.EventQueue buffered events the oldest are dropped
// and counted in Stats().EventsDropped. It is closed when the endpoint has
// ended, after EventStopped.
func (p *PacketConn) Events() <-chan Event { return p.events.channel() }

// LocalAddr returns the address that the endpoint is bound to.
func (p *PacketConn) LocalAddr() netip.AddrPort { return p.conn.LocalAddr() }

// Done returns a channel that is closed when the endpoint has ended and its
// goroutines have exited.
func (p *PacketConn) Done() <-chan struct{} { return p.done }

// Err returns nil while the endpoint runs and after Close, otherwise what ended
// it. The first cause wins.
func (p *PacketConn) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Context returns a context with the values of the one that the endpoint was
// started with. It is canceled when the endpoint ends, with Err as its cause
// (context.Canceled after a clean end).
func (p *PacketConn) Context() context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx == nil {
		// Not a child of parent: the endpoint's own cause must be the first.
		p.ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(p.parent))
		if p.over {
			p.cancel(p.err)
		}
	}
	return p.ctx
}

// Stats returns the endpoint's counters. BytesPending is what the writer holds;
// packets in Send's buffer are not counted until the writer takes them.
// KernelDropped is as of the last received packet.
func (p *PacketConn) Stats() Stats {
	st := p.stats.snapshot()
	st.KernelDropped = p.conn.KernelDropped()
	st.Refused = p.conn.Refused()
	st.EventsDropped = p.events.lost()
	return st
}

// Close ends the endpoint gracefully. It refuses new packets, stops receiving
// and hands what was accepted to the kernel, all within Options.CloseTimeout.
// It returns when the endpoint's goroutines have exited.
//
// It returns nil unless accepted packets could not be sent, whatever ended the
// endpoint and when. If time ran out, the error is os.ErrDeadlineExceeded, and
// Err is the same error. If the endpoint ended before they were sent, the error
// is what ended it. Otherwise it is the error of the first packet that failed
// since the last Flush, and Err is nil. Close is idempotent and safe to call from
// any goroutine.
func (p *PacketConn) Close() error {
	p.beginClose()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stats.lost.Load() > 0 || errors.Is(p.closeErr, os.ErrDeadlineExceeded) {
		return cmp.Or(p.closeErr, p.err, p.errorAt("close", netip.AddrPort{}, ErrClosed))
	}
	return p.loss.err()
}

// beginClose starts what Close waits for.
func (p *PacketConn) beginClose() {
	p.mu.Lock()
	if p.over || p.closing {
		p.mu.Unlock()
		return
	}
	p.closing = true
	p.refuse()
	if d := p.set.CloseTimeout; d > 0 {
		p.timer = time.AfterFunc(d, func() {
			p.terminate(p.errorAt("close", netip.AddrPort{}, &timeoutError{"CloseTimeout", d}))
		})
	}
	p.mu.Unlock()
	p.conn.StopReceiving()
}

// Abort ends the endpoint at once. Nothing is flushed. Err is cause, or
// ErrClosed if cause is nil; if the endpoint has already ended, Abort does
// nothing. Abort does not wait: Done is closed when the endpoint has ended.
func (p *PacketConn) Abort(cause error) {
	if cause == nil {
		cause = p.errorAt("endpoint", netip.AddrPort{}, ErrClosed)
	}
	p.terminate(cause)
}

// terminate ends the endpoint with cause, nil for a clean end, unless it has
// ended already. It closes the socket, which ends the reader and the writer.
func (p *PacketConn) terminate(cause error) {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.over = true
	p.err = cause
	if p.closing {
		p.closeErr = cause // something may not have been sent
	}
	p.refuse()
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.cancel != nil {
		p.cancel(cause)
	}
	p.mu.Unlock()
	p.conn.Close()
}

// refuse stops accepting and receiving. The caller holds mu.
func (p *PacketConn) refuse() {
	if !p.refusing {
		p.refusing = true
		close(p.refused)
		if p.links != nil {
			p.links.Close()
		}
		if p.puts.shut() {
			close(p.putsGone)
		}
	}
}

// readLoop is the endpoint's reader, which also ends the endpoint. start
// starts it; it returns when the endpoint has ended.
func (p *PacketConn) readLoop() {
	if err := p.conn.ReceiveTo(&packetReader{p: p}); err != nil {
		p.terminate(p.errorAt("read", netip.AddrPort{}, err))
	}
	p.finish()
}

// finish runs when nothing more is received or accepted. It waits for the Puts
// in progress and for the writer. From then on only bare senders touch the
// endpoint's channels.
func (p *PacketConn) finish() {
	<-p.putsGone
	p.mu.Lock()
	p.finished = true
	writing, watching := p.writer.Load(), p.links != nil
	p.mu.Unlock()
	if watching {
		<-p.linksDone
	}
	if writing {
		<-p.writerDone
	}
	p.terminate(nil)
	p.lost(drain(p.send, func(m Packet) int { return len(m.Data) }))
	p.dropBatches()
	p.unwatch()
	p.closeRecv()
	p.events.close(p.Err())
	close(p.done)
}

// errorAt wraps err with the endpoint's address and the peer's, if there is
// one.
func (p *PacketConn) errorAt(op string, peer netip.AddrPort, err error) error {
	if errors.Is(err, net.ErrClosed) {
		err = ErrClosed
	}
	return wrapOp(op, p.network, udpAddr(p.LocalAddr()), udpAddr(peer), err)
}

// udpAddr returns a as a net.Addr, or nil if it is invalid.
func udpAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(a)
}
