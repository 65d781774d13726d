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

// ID identifies a session. It is unique in the process and never reused.
type ID uint64

// String returns the ID in the form used in logs.
func (id ID) String() string { return "s" + strconv.FormatUint(uint64(id), 10) }

// lastID is the last ID assigned.
var lastID atomic.Uint64

// A Session is one connection, or one udp peer. Messages arrive on Recv and
// leave on Send; Done and Err report how it ended. All methods are safe for
// concurrent use, including from the session's own handler.
//
// A session ends when both directions have ended, on Close or Abort, with its
// context or owner, or when the network fails. There is nothing to clean up
// beyond what the user holds: if a handler returns without Close, its session
// ends HalfCloseTimeout after its peer's end of stream.
type Session struct {
	id     ID
	set    *settings
	tr     transport
	traits traits          // the transport's
	socket *sock.Socket    // the transport's; nil if it has no stream socket
	reg    *registry       // of the listener or client that owns the session; may be nil
	parent context.Context // its values are Context's

	// Made on first use, under mu; sent on and closed by the reader.
	recv      chan []byte
	recvBatch chan *Batch
	form      atomic.Uint32 // a form: set under mu, with its channel
	flushed   atomic.Bool   // flushes has waiters
	bare      atomic.Bool   // Send or SendBatch was called: messages may be sent unseen
	answers   atomic.Bool   // a Put may write by itself; see session_turn.go
	unheard   atomic.Bool   // heardOf has yet to start the reader

	halted  latch // shut when nothing more is put into recv
	refused latch // shut when no more messages are accepted
	done    latch // shut by finish, as its last act

	stats counters
	puts  putGate       // Puts in progress
	refs  atomic.Int32  // what must end before finish: goroutines, the gate, the open state
	word  atomic.Uint32 // its life; written under mu, see session_lifetime.go

	hubs    sessionHubs                 // see session_hubs.go
	output  atomic.Pointer[writerState] // the writer's; nil until needWriter, which sets it under mu
	records *recordConn                 // nil unless the library has set up TLS
	framed  *framedState                // nil unless the framing has a state
	pings   *pinging                    // nil without PingInterval

	mu         sync.Mutex // guards what follows; never held while blocking
	err        error
	closeErr   error         // what Close returns
	asked      chan struct{} // closed when form is known; nil unless the reader waits for it
	recvClosed bool          // closeRecv was called
	writeErr   error         // the error that ended the output
	cut        bool          // data that the kernel has taken may be lost: see noteCut
	endSize    int           // bytes of the end of stream, once sent, in sock.Progress.Left
	flushes    []*flush
	timers     sessionTimers
	ctx        *sessionContext // made by the first call of Context
	stopParent func() bool     // stops watching the parent context; may be nil
}

// NewSession starts a session over conn, which from then on belongs to the
// session. The session lives at most until ctx ends. It then closes at once,
// without flushing and without a reset, and Err is the context's cause.
//
// Options.TLS is ignored: for TLS pass a *tls.Conn, which performs its
// handshake at once unless it already has. What is sent waits for the
// handshake, bounded only by Options.WriteTimeout. A nil conn or invalid
// options yield a session that has already ended with that Err.
//
// A connected *net.UDPConn preserves message boundaries, like one that [Dial]
// makes, and so does a unixpacket *net.UnixConn on Linux. Other connections with
// message boundaries (unixgram, or a wrapper around one of these) would lose
// them in a stream and are errors.ErrUnsupported.
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
		if err = tune(conn, set); err == nil {
			tr, err = transportOf(conn, set)
		}
	}
	if err != nil {
		conn.Close()
		return deadSession(ctx, err)
	}
	s := newSession(ctx, tr, set, nil)
	s.watch(ctx)
	s.start()
	return s
}

// newSession returns a session that is not started: nothing runs yet, and reg,
// if not nil, does not know it.
func newSession(parent context.Context, tr transport, set *settings, reg *registry) *Session {
	handed := handedOver(tr)
	set = set.framedBy(handed.Framing)
	s := &Session{
		id:     ID(lastID.Add(1)),
		set:    set,
		tr:     tr,
		traits: tr.traits(),
		socket: tr.socket(),
		reg:    reg,
		parent: parent,
	}
	// One each for the open state, released by its end; the gate, by putsGone;
	// and the reader, by itself. A session that is ended before start thus
	// cannot finish before it.
	s.refs.Store(3)
	s.allowAnswer() // the first message of a conversation is like one
	s.framed = newFramedState(s, handed.Reader)
	if set.PingInterval > 0 {
		s.pings = new(pinging)
	}
	tr.attach(s)
	return s
}

// start starts the reader. s may have ended already, by its context or through
// its registry.
func (s *Session) start() {
	s.watchHeard()
	s.unheard.Store(true)
	s.heardOf()
}

// startHeard is start with a reader that begins with the first input, if a can
// tell of that.
func (s *Session) startHeard(a *arrivals) {
	s.watchHeard()
	s.unheard.Store(true)
	if !a.await(s, s.reg) {
		s.heardOf()
	}
}

// heardOf starts the reader unless it has been started. Whatever interrupts the
// reader calls it too: only the reader ends the input.
func (s *Session) heardOf() {
	if s.unheard.CompareAndSwap(true, false) {
		go s.tr.run(s)
	}
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

// deadSession returns a session that ended with err before it began.
func deadSession(parent context.Context, err error) *Session {
	s := newSession(parent, noTransport{}, &settings{began: time.Now()}, nil)
	s.closeRecv()
	s.end(err)
	s.release() // for the reader that it never had
	return s
}

// ID returns the session's ID.
func (s *Session) ID() ID { return s.id }

// Send returns the channel of messages to the peer, which are sent in order. It
// buffers Options.SendQueue messages and blocks when the peer reads less than
// is sent. A slice belongs to the library once sent: do not modify it; sending
// the same slice to several sessions is fine.
//
// Accepted does not mean delivered: see Flush. The session's writer receives
// from the channel. Once the session has ended there is no receiver: a bare
// send blocks forever, and a message that still fits the buffer is lost, so
// select on Done as well, or use Put. Only the user may close the channel,
// which means CloseWrite. A message that cannot be framed ends the session with
// that error.
func (s *Session) Send() chan<- []byte {
	s.bare.Store(true)
	return s.needWriter().send
}

// Done returns a channel that is closed when the session has ended and its
// goroutines have exited.
func (s *Session) Done() <-chan struct{} { return s.done.wait() }

// Err returns nil while the session runs and after a clean end (the peer's end
// of stream, CloseWrite, Close). Otherwise it returns what ended the session or
// what was wrong with the framing of its input. The first cause wins.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Context returns a context with the values of the one that the session was
// started with. It is canceled when the session ends, with Err as its cause
// (context.Canceled after a clean end).
func (s *Session) Context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		// Not a child of parent: the session's own cause must be the first.
		s.ctx = new(sessionContext)
		s.ctx.Context, s.ctx.cancel = context.WithCancelCause(context.WithoutCancel(s.parent))
		if s.over() {
			s.ctx.cancel(s.err)
		}
	}
	return s.ctx.Context
}

// A sessionContext is what Context returns, and ends it.
type sessionContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// LocalAddr returns the local address, or nil for a session that never began.
func (s *Session) LocalAddr() net.Addr { return s.tr.localAddr() }

// RemoteAddr returns the peer's address, or nil for a session that never began.
func (s *Session) RemoteAddr() net.Addr { return s.tr.remoteAddr() }

// TLS returns the state of the session's TLS connection and whether it has one.
// It waits for the handshake of a *tls.Conn that is still in progress.
func (s *Session) TLS() (tls.ConnectionState, bool) { return s.tr.tls() }

// Stats returns the session's counters. Sessions is 1 until the session has
// ended. BytesPending is what the writer holds; messages in Send's buffer are
// not counted until the writer takes them.
func (s *Session) Stats() Stats {
	st := s.counts()
	st.Accepted = 1
	if !s.done.isShut() {
		st.Sessions = 1
	}
	return st
}

// counts returns the counters of the session and its socket.
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

// release gives back one of refs. The last one finishes the session.
func (s *Session) release() {
	if s.refs.Add(-1) == 0 {
		s.finish()
	}
}

// finish runs once, when the session has ended and no goroutine or Put remains.
// From then on only bare senders touch the session's channels.
func (s *Session) finish() {
	s.mu.Lock()
	if o := s.output.Load(); o != nil {
		s.lost(drain(o.send, func(m []byte) int { return len(m) }))
		s.loseBatches(o.sendBatch)
	}
	s.stats.bytesPending.Store(0)
	stop := s.stopParent
	s.resolveFlushes()
	s.mu.Unlock()
	if stop != nil {
		stop()
	}
	if s.reg != nil {
		s.reg.forget(s)
	}
	s.done.shut()
	if s.reg != nil {
		s.reg.left()
	}
}

// lost counts messages that were accepted, or published by a hub, and will not
// be sent. An empty message on a raw stream does not count.
func (s *Session) lost(messages, bytes int64) {
	s.stats.undelivered.Add(bytes)
	if bytes > 0 || s.traits.messages || s.set.codec != nil {
		s.stats.lost.Add(messages)
	}
}

// contextError returns the error of something that ctx ended.
func contextError(ctx context.Context) error { return context.Cause(ctx) }

// aLongTimeAgo is a deadline that has passed.
var aLongTimeAgo = time.Unix(1, 0)
