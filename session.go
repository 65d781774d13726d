package chanio

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/sock"
)

// ID names a session; it is unique in the process and never used again.
type ID uint64

// String returns the form of the ID that logs show.
func (id ID) String() string { return "s" + strconv.FormatUint(uint64(id), 10) }

// lastID is what makes an ID unique in the process.
var lastID atomic.Uint64

// A Session is one connection, or one udp peer: messages come from Recv and go
// to Send, and everything about its end is told by Done and Err. All methods
// are safe for concurrent use, the session's own handler included.
//
// A session ends when both directions have ended, by Close, by Abort, with its
// context or owner, or when the network fails it. Nothing needs to be cleaned
// up but what the user holds: a handler that returns without Close leaves a
// session that ends HalfCloseTimeout after its peer's end of stream.
type Session struct {
	id     ID
	set    *settings
	tr     transport
	traits traits          // the transport's
	socket *sock.Socket    // the transport's; nil if it has none that is a stream
	reg    *registry       // of the listener or client whose session it is; may be nil
	parent context.Context // whose values Context carries

	// What is received: made when it is asked for, under mu; sent and closed by the
	// reader.
	recv      chan []byte
	recvBatch chan *Batch
	form      atomic.Uint32 // a form: set under mu, with its channel

	// What is sent: made by needWriter, under mu; received by the writer; only the user
	// may close it.
	sendBatch chan *Batch
	send      chan []byte

	wake    chan struct{} // one slot: the writer shall look at its sources again
	halted  chan struct{} // closed when nothing is put into recv any more
	refused chan struct{} // closed when no message is accepted any more
	done    chan struct{} // closed by finish, last of all

	stats   counters
	puts    putGate       // the Puts under way
	refs    atomic.Int32  // what must go before finish: goroutines, the gate, the open state
	word    atomic.Uint32 // its life; written under mu, see session_lifetime.go
	flushed atomic.Bool   // there are waiters in flushes

	hubs    sessionHubs  // see session_hubs.go
	output  writerState  // the writer's; see session_write.go
	records *recordConn  // nil where there is no TLS that the library has set up
	framed  *framedState // nil unless the framing has a state
	pings   *pinging     // nil without PingInterval

	mu         sync.Mutex // guards what follows; never held across anything that blocks
	err        error
	closeErr   error         // what Close returns
	asked      chan struct{} // closed when form is known; nil unless the reader waits for that
	recvClosed bool          // closeRecv was called
	writeErr   error         // what the output has failed with
	gathering  bool          // recvBatch has a sender of its own; see session_gather.go
	noMessages chan []byte   // Recv's then
	flushes    []*flush
	timers     sessionTimers
	ctx        context.Context // made by the first call of Context
	cancel     context.CancelCauseFunc
	stopParent func() bool // ends the watch over the parent context; may be nil
}

// NewSession starts a session over conn, which belongs to the session from
// then on. The session lives until ctx ends at the longest: then it closes at
// once, without flushing and without a reset, and Err is the context's cause.
//
// Options.TLS is ignored: to speak TLS hand it a *tls.Conn, which shakes hands
// at once unless it has before; what is sent waits for that, under
// Options.WriteTimeout, and nothing else bounds it. A conn that is nil or options
// that cannot be right yield a session that has ended, with that Err.
//
// A *net.UDPConn that is connected keeps its messages apart, as one that [Dial]
// makes. What else keeps messages (unixpacket, unixgram, a conn over udp that is
// none) would be cut and glued as a stream: it is errors.ErrUnsupported.
func NewSession(ctx context.Context, conn net.Conn, o *Options) *Session {
	set, err := o.resolve(false)
	if conn == nil {
		return deadSession(ctx, errors.New("chanio: NewSession of a nil net.Conn"))
	}
	var tr transport
	udp, ok := conn.(*net.UDPConn)
	switch {
	case err != nil:
	case ok && udp.RemoteAddr() != nil:
		tr, set, err = givenDatagrams(ctx, udp, o)
	default:
		if err = checkStream(conn); err == nil {
			err = tune(conn, set)
		}
	}
	if err != nil {
		conn.Close()
		return deadSession(ctx, err)
	}
	if tr == nil {
		tr = transportOf(conn)
	}
	s := newSession(ctx, tr, set, nil)
	s.watch(ctx)
	s.start()
	return s
}

// newSession returns a session that was not started: nothing runs yet, and
// reg, if it is not nil, does not know it.
func newSession(parent context.Context, tr transport, set *settings, reg *registry) *Session {
	handed := handedOver(tr)
	set = set.framedBy(handed.Framing)
	s := &Session{
		id:      ID(lastID.Add(1)),
		set:     set,
		tr:      tr,
		traits:  tr.traits(),
		socket:  tr.socket(),
		reg:     reg,
		parent:  parent,
		wake:    make(chan struct{}, 1),
		halted:  make(chan struct{}),
		refused: make(chan struct{}),
		done:    make(chan struct{}),
	}
	// The open state, released by its end; the gate, by putsGone; the reader,
	// by itself: a session that is ended before start does not finish before it.
	s.refs.Store(3)
	if s.traits.messages {
		s.output.batch.datagrams = new(outDatagrams)
		s.recv = make(chan []byte, set.RecvQueue)
	}
	s.timers.began = time.Now()
	s.framed = newFramedState(s, handed.Reader)
	if set.PingInterval > 0 {
		s.pings = new(pinging)
	}
	tr.attach(s)
	return s
}

// start starts the reader. s may have been ended already: by its context, or by
// whoever knows its registry.
func (s *Session) start() {
	s.watchHeard()
	go s.tr.run(s)
}

// connected emits the events of a session that is about to start.
func (s *Session) connected(events *eventQueue) {
	events.emit(Event{Kind: EventConnected, Session: s})
	if _, ok := s.TLS(); ok {
		events.emit(Event{Kind: EventHandshaked, Session: s})
	}
}

// watch ends s with ctx.
func (s *Session) watch(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { s.end(contextError(ctx)) })
	s.mu.Lock()
	s.stopParent = stop
	s.mu.Unlock()
}

// deadSession returns a session that has ended with err before it began.
func deadSession(parent context.Context, err error) *Session {
	s := newSession(parent, noTransport{}, new(settings), nil)
	s.closeRecv()
	s.end(err)
	s.release() // for the reader that it never had
	return s
}

// ID returns the session's ID.
func (s *Session) ID() ID { return s.id }

// Send returns the channel of what goes to the peer, in order. It buffers
// Options.SendQueue messages, and blocks when the peer takes less than is sent.
// The slice belongs to the library from then on: do not modify it; sending the
// same slice to many sessions is fine.
//
// Accepted is not delivered: see Flush. The session's writer receives from it.
// Once the session has ended nobody does: a bare send blocks for good, and one
// that the buffer still takes is lost, so select on Done too, or use Put. Only
// the user may close it, and it then means CloseWrite; a message that its
// framing cannot frame ends the session with that error.
func (s *Session) Send() chan<- []byte {
	s.needWriter()
	return s.send
}

// Done returns a channel that is closed when the session has ended and its
// goroutines are gone.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err returns nil while the session runs and after a clean end (the peer's end
// of stream, CloseWrite, Close), else what ended it, or what was wrong with the
// framing of its input. The first cause wins.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Context returns a context that has the values of the one that the session
// was started with and is cancelled when the session ends, with Err as its
// cause (context.Canceled after a clean end).
func (s *Session) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		// Not a child of parent: the session's own cause must be the first.
		s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(s.parent))
		if s.over() {
			s.cancel(s.err)
		}
	}
	return s.ctx
}

// LocalAddr returns the local address, nil for a session that never began.
func (s *Session) LocalAddr() net.Addr { return s.tr.localAddr() }

// RemoteAddr returns the peer's address, nil for a session that never began.
func (s *Session) RemoteAddr() net.Addr { return s.tr.remoteAddr() }

// TLS returns the state of the session's TLS connection, and whether it has
// one. On a *tls.Conn whose handshake is under way it waits for that.
func (s *Session) TLS() (tls.ConnectionState, bool) { return s.tr.tls() }

// Stats returns the session's counters. Sessions is 1 until it has ended.
// BytesPending is what the writer holds; what waits in Send's buffer is not
// seen before the writer takes it.
func (s *Session) Stats() Stats {
	st := s.counts()
	st.Accepted = 1
	select {
	case <-s.done:
	default:
		st.Sessions = 1
	}
	return st
}

// counts returns what the session and its socket have counted.
func (s *Session) counts() Stats {
	st := s.stats.snapshot()
	s.tr.count(&st)
	return st
}

// errorAt wraps err with the session's addresses.
func (s *Session) errorAt(op string, err error) error {
	network := "pipe"
	if a := s.tr.remoteAddr(); a != nil {
		network = a.Network()
	}
	return wrapOp(op, network, s.tr.localAddr(), s.tr.remoteAddr(), err)
}

// release gives back one of refs; who gives back the last one finishes.
func (s *Session) release() {
	if s.refs.Add(-1) == 0 {
		s.finish()
	}
}

// finish runs once, when the session has ended and neither goroutine nor Put
// is left: nobody else touches the session's channels now but bare senders.
func (s *Session) finish() {
	s.mu.Lock()
	sends := s.send != nil
	s.mu.Unlock()
	if sends {
		s.lost(drain(s.send, func(m []byte) int { return len(m) }))
		s.loseBatches()
	}
	s.stats.bytesPending.Store(0)
	s.mu.Lock()
	stop := s.stopParent
	if len(s.flushes) > 0 {
		s.resolveFlushes(s.flushResult())
	}
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	if s.reg != nil {
		s.reg.forget(s)
	}
	close(s.done)
	if s.reg != nil {
		s.reg.left()
	}
}

// lost counts messages that were accepted, or published by a hub, and will not be
// sent. An empty one is nothing on a raw stream.
func (s *Session) lost(messages, bytes int64) {
	s.stats.undelivered.Add(bytes)
	if bytes > 0 || s.traits.messages || s.set.codec != nil {
		s.stats.lost.Add(messages)
	}
}

// contextError is the error of something that ctx ended.
func contextError(ctx context.Context) error { return context.Cause(ctx) }

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)
