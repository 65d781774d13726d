package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/datagram"
)

// A Packet is one datagram. IPv4-mapped addresses are unmapped.
type Packet struct {
	// Addr is the peer: the sender of a packet received, the destination of
	// one to be sent.
	Addr netip.AddrPort
	// Local is the address that the peer wrote to: one of this host, or a
	// group's. In a packet to be sent it is the address to send from if that
	// is one of this host's unicast addresses, else, or if it is the zero
	// value, the system chooses; its port is ignored. So a packet that is sent
	// back as it came is answered from where the peer expects it. An endpoint that
	// is bound to one unicast address sends from that one.
	//
	// Where the system doesn't tell, it is the address that the endpoint is
	// bound to.
	Local netip.AddrPort
	// IfIndex is the interface that a packet came in on, 0 where the system
	// doesn't tell. For a packet to a multicast group or an IPv6 link-local
	// address it chooses the interface that it leaves by, if it is not 0;
	// elsewhere the system's routes decide.
	IfIndex int
	// Data is the payload. The receiver of a packet owns it for good, its
	// capacity is its length; a packet sent leaves it to the library.
	Data []byte
}

// A PacketConn is an endpoint for datagrams to and from any peer, and for
// multicast groups: packets come from Recv and go to Send, and everything about
// its end is told by Done and Err. All methods are safe for concurrent use.
//
// It ends by Close, by Abort, with its context, or when the socket fails. What
// befalls one datagram does not end it: one that can't be sent is an
// [EventFailed], and that a peer refuses one (by ICMP) is counted in
// Stats.Refused, where the system tells: Linux tells only about a udp [Dial].
type PacketConn struct {
	set     *settings
	network string
	conn    *datagram.Conn
	parent  context.Context // whose values Context carries
	unwatch func()          // ends the watch over parent
	events  *eventQueue

	id         uint64            // its number, unique in the process: the owner of batches put to it
	recv       chan Packet       // sent and closed by the reader
	recvBatch  chan *PacketBatch // likewise
	asked      chan struct{}     // closed when form is known
	send       chan Packet       // received by the writer; only the user may close it
	sendBatch  chan *PacketBatch // likewise
	flushes    chan chan error   // calls of Flush; the writer answers, and never waits for that
	refused    chan struct{}     // closed when nothing is accepted or received any more
	writerDone chan struct{}     // closed when the writer has ended
	putsGone   chan struct{}     // closed when nothing is accepted any more and no Put is under way
	done       chan struct{}     // closed by the reader, last of all

	stats  counters
	loss   loss          // since the last Flush
	puts   putGate       // the Puts under way
	writer atomic.Bool   // the writer was started; set under mu
	form   atomic.Uint32 // what was asked for: a form; set under early
	early  sync.Mutex    // guards what arrives before that

	mu       sync.Mutex // guards what follows; never held across anything that blocks
	err      error
	closeErr error // what Close returns
	refusing bool  // refused is closed
	closing  bool  // Close has begun
	over     bool  // it has ended: the socket is closed
	finished bool  // nothing is accepted any more, and no writer started
	timer    *time.Timer
	ctx      context.Context // made by the first call of Context
	cancel   context.CancelCauseFunc
}

// ListenPacket binds address and serves it until ctx ends: the context is the
// endpoint's lifetime, not only the call's. Networks are udp, udp4 and udp6;
// udp on a wildcard address is IPv4 and IPv6. Nil options mean the defaults.
//
// To receive from a multicast group there is [ListenMulticast], or JoinGroup on
// an endpoint that ListenPacket bound to a wildcard address. To send to one it
// takes no more than its address.
func ListenPacket(ctx context.Context, network, address string, o *Options) (*PacketConn, error) {
	return listenPacket(ctx, network, address, o, false)
}

// listenPacket is ListenPacket; with oneByOne it makes a system call a datagram
// even where there are batches.
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

// datagramSettings resolves the options of something on a udp network.
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
// also if there is an error.
func newPacketConn(ctx context.Context, network string, conn *datagram.Conn, set *settings) (*PacketConn, error) {
	if err := setMulticast(conn, network, set); err != nil {
		conn.Close()
		return nil, err
	}
	p := &PacketConn{
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
		flushes:    make(chan chan error),
		refused:    make(chan struct{}),
		writerDone: make(chan struct{}),
		done:       make(chan struct{}),
		putsGone:   make(chan struct{}),
	}
	p.watch(ctx)
	p.events.emit(Event{Kind: EventStarted})
	go p.readLoop()
	return p, nil
}

// watch ends p with ctx.
func (p *PacketConn) watch(ctx context.Context) {
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		p.terminate(contextError(ctx))
	})
	p.unwatch = func() {
		if !stop() {
			<-ended
		}
	}
}

// Events returns the channel of the endpoint's events. It never blocks the
// endpoint: it buffers Options.EventQueue events, then the oldest go and
// Stats().EventsDropped counts them. It is closed when the endpoint has ended,
// behind EventStopped.
func (p *PacketConn) Events() <-chan Event { return p.events.channel() }

// LocalAddr returns the address that the endpoint is bound to.
func (p *PacketConn) LocalAddr() netip.AddrPort { return p.conn.LocalAddr() }

// Done returns a channel that is closed when the endpoint has ended and its
// goroutines are gone.
func (p *PacketConn) Done() <-chan struct{} { return p.done }

// Err returns nil while the endpoint runs and after Close, else what ended it.
// The first cause wins.
func (p *PacketConn) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Context returns a context that has the values of the one that the endpoint
// was started with and is cancelled when the endpoint ends, with Err as its
// cause (context.Canceled after a clean end).
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
// what waits in Send's buffer is not seen before the writer takes it.
// KernelDropped is as of the last packet received.
func (p *PacketConn) Stats() Stats {
	st := p.stats.snapshot()
	st.KernelDropped = p.conn.KernelDropped()
	st.Refused = p.conn.Refused()
	st.EventsDropped = p.events.lost()
	return st
}

// Close ends the endpoint in order: it refuses new packets, stops receiving,
// hands what was accepted to the kernel, all that within Options.CloseTimeout,
// and returns when the endpoint's goroutines are gone.
//
// It returns nil, unless packets that were accepted could not be sent: when time
// ran out the error is os.ErrDeadlineExceeded, and Err is the same error; else it
// is what the first packet failed of since the last Flush, and Err is nil. It is
// idempotent, and safe from any goroutine.
func (p *PacketConn) Close() error {
	p.beginClose()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closeErr != nil {
		return p.closeErr
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

// Abort ends the endpoint at once: nothing is flushed. Err is cause, or
// ErrClosed if cause is nil. Only the first end of an endpoint counts. It does
// not wait: Done tells when the endpoint is gone.
func (p *PacketConn) Abort(cause error) {
	if cause == nil {
		cause = p.errorAt("endpoint", netip.AddrPort{}, ErrClosed)
	}
	p.terminate(cause)
}

// terminate ends the endpoint with cause, nil for a clean end, if it has not
// ended yet. It closes the socket, which ends reader and writer.
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

// refuse ends the accepting and the receiving. The caller holds mu.
func (p *PacketConn) refuse() {
	if !p.refusing {
		p.refusing = true
		close(p.refused)
		if p.puts.shut() {
			close(p.putsGone)
		}
	}
}

// readLoop is the endpoint's reader, and the one who ends it. newPacketConn
// starts it; it returns when the endpoint has ended.
func (p *PacketConn) readLoop() {
	if err := p.conn.ReceiveTo(&packetReader{p: p}); err != nil {
		p.terminate(p.errorAt("read", netip.AddrPort{}, err))
	}
	p.finish()
}

// finish runs when nothing is received and accepted any more. It waits for the
// Puts that are under way and for the writer: then nobody touches the
// endpoint's channels but bare senders.
func (p *PacketConn) finish() {
	<-p.putsGone
	p.mu.Lock()
	p.finished = true
	writing := p.writer.Load()
	p.mu.Unlock()
	if writing {
		<-p.writerDone
	}
	p.terminate(nil)
	p.lost(drain(p.send, func(m Packet) int { return len(m.Data) }))
	p.dropBatches()
	p.unwatch()
	close(p.recv)
	close(p.recvBatch)
	p.events.close(p.Err())
	close(p.done)
}

// errorAt wraps err with the endpoint's address and the peer's, if it is about
// one.
func (p *PacketConn) errorAt(op string, peer netip.AddrPort, err error) error {
	if errors.Is(err, net.ErrClosed) {
		err = ErrClosed
	}
	return wrapOp(op, p.network, udpAddr(p.LocalAddr()), udpAddr(peer), err)
}

// udpAddr returns a as a net.Addr, nil if it is invalid.
func udpAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return nil
	}
	return net.UDPAddrFromAddrPort(a)
}
