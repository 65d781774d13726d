package chanio

import "sync/atomic"

// What a polledReader does.
const (
	readerRuns   = iota // somebody reads, and delivers: start, the poller or a goroutine
	readerCalled        // so it is, and it shall look again before it parks
	readerParked        // nobody does, until the poller or the end of the session calls
)

// A polledReader is the reader of a session whose socket a poller watches. While
// there is nothing to read it is parked, without a goroutine. Then the poller reads
// and delivers for it; only where that would have to wait a goroutine goes on, until
// there is nothing to read any more. Whoever has taken it from parked to running
// is the session's reader: it alone reads, sends on recv and closes it.
type polledReader struct {
	session *Session
	stream  *stream
	conn    *rawConn
	poller  *poller // set by start, before there are events
	exact   bool    // a read that does not fill its buffer has read all that there was
	state   atomic.Int32
}

// newPolledReader returns nil for sessions whose reader waits by itself: those that
// have no pollers or are few, those that are not a kernel's socket's, and those that
// read under a state of their own, of a framing.
func newPolledReader(s *Session, tr transport) *polledReader {
	var t *stream
	switch tr := tr.(type) {
	case *stream:
		t = tr
	case *tlsStream:
		t = &tr.stream
	}
	if t == nil || t.pollers == nil || t.raw == nil || s.set.codec != nil || s.reg.size() <= pollersFrom {
		return nil
	}
	// Of a Unix socket a read ends where a descriptor was passed (unix(7)).
	return &polledReader{session: s, stream: t, conn: t.raw, exact: t.conn.LocalAddr().Network() == "tcp"}
}

// start makes a poller watch the socket, and reports whether one does; then the
// reader parks, unless the session was ended meanwhile.
func (r *polledReader) start() bool {
	if r == nil {
		return false
	}
	if r.poller = r.stream.pollers.join(r); r.poller == nil {
		return false
	}
	if !r.poller.add(r) {
		r.stream.pollers.leave(r)
		return false
	}
	// What came with the end of a handshake is not in the socket any more.
	if r.conn.buffered() || !r.park() {
		go r.run(nil, nil)
	}
	return true
}

// call makes the reader look at the session, which has been halted.
func (r *polledReader) call() {
	if r != nil && r.claim() {
		go r.run(nil, nil)
	}
}

// claim takes a parked reader, or makes the one that runs look again.
func (r *polledReader) claim() bool {
	for {
		switch r.state.Load() {
		case readerParked:
			if r.state.CompareAndSwap(readerParked, readerRuns) {
				return true
			}
		case readerRuns:
			if r.state.CompareAndSwap(readerRuns, readerCalled) {
				return false
			}
		default:
			return false
		}
	}
}

// park gives the reader up. It reports false if it was called meanwhile, and is to
// look again.
func (r *polledReader) park() bool {
	if r.state.CompareAndSwap(readerRuns, readerParked) {
		return true
	}
	r.state.Store(readerRuns) // whoever calls now does not find it parked
	return false
}

// pollReads is how often the poller reads for one session before a goroutine takes
// over, so that none holds up the others.
const pollReads = 4

// step reads and delivers, on the poller's goroutine: it does not wait. more is
// that of a readiness.
func (r *polledReader) step(more bool) {
	if !r.claim() {
		return
	}
	s := r.session
	for range pollReads {
		if s.isHalted() || r.conn.unsettled() {
			break
		}
		b, n, err := r.conn.poll()
		if n == 0 && err == nil {
			if r.park() {
				return
			}
			continue
		}
		if n == 0 {
			go r.run(nil, err)
			return
		}
		// An error beside data comes again.
		last := r.exact && !more && err == nil && n < len(b.b) && r.conn.drained()
		m := s.take(b, n)
		select {
		case s.recv <- m:
		default:
			go r.run(m, nil)
			return
		}
		if last && r.park() {
			return
		}
	}
	go r.run(nil, nil)
}

// run is the reader in a goroutine of its own: it delivers m, unless it is nil, and
// what there is to read, and ends when the reader can be parked, or with the input,
// of which err tells if it is not nil.
func (r *polledReader) run(m []byte, err error) {
	s := r.session
	if m != nil {
		err = s.deliver(m)
	} else if err != nil {
		err = s.readError(err)
	}
	if err == nil {
		err = r.receive()
	}
	if err == errParked {
		return
	}
	r.poller.remove(r)
	r.stream.pollers.leave(r)
	s.endInput(r.stream, err)
}

// receive reads and delivers until there is nothing to read, which is errParked,
// or until the input ends.
func (r *polledReader) receive() error {
	s := r.session
	for {
		if s.isHalted() {
			return errHalted
		}
		if err := r.conn.settle(); err != nil {
			return s.readError(err)
		}
		b, n, err := r.conn.poll()
		switch {
		case n > 0:
			// An error beside data comes again.
			if err := s.deliver(s.take(b, n)); err != nil {
				return err
			}
		case err != nil:
			return s.readError(err)
		case r.park():
			return errParked
		}
	}
}
