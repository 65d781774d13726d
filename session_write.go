package chanio

import "example.com/chanio/internal/sock"

// Put sends p like Send, and the slice belongs to the library from then on. It
// waits for room as long as the session makes progress. If it answers what was
// just received and nothing else waits to be sent, it writes by itself and saves
// waking the writer. It then never waits for the peer: what the kernel
// does not take is left to the writer. In a session whose Send or SendBatch was
// called, Put writes nothing itself. Once the session has
// ended or was closed for writing, it returns an error that is ErrClosed, and
// nothing is accepted. A message that cannot be framed is also an error.
func (s *Session) Put(p []byte) error { return s.put(p, nil) }

// Write puts a copy of p, as one message. It returns len(p), or 0 and Put's
// error.
func (s *Session) Write(p []byte) (int, error) {
	if err := s.put(append(make([]byte, 0, len(p)), p...), nil); err != nil {
		return 0, err
	}
	return len(p), nil
}

// put is Put with a channel whose closing makes it give up; the error is then
// errGivenUp.
func (s *Session) put(p []byte, giveUp <-chan struct{}) error {
	// While a Put is inside, the writer does not end the output and the session
	// does not finish, so whatever the Put accepts is sent or counted.
	if !s.puts.enter() {
		return s.errorAt("write", ErrClosed)
	}
	defer func() {
		if s.puts.leave() {
			s.putsGone()
		}
	}()
	if c := s.set.codec; c != nil {
		if err := c.accepts(p); err != nil {
			return s.errorAt("write", err)
		}
	}
	if err := s.checkSize(len(p)); err != nil {
		return s.errorAt("write", err)
	}
	if o := s.takeTurn(); o != nil {
		s.accept(o, p, true)
		s.writeNow(o)
		return nil
	}
	o := s.needWriter()
	err := queue(s, o, o.send, p, giveUp)
	if err != nil && err != errGivenUp {
		return s.errorAt("write", err)
	}
	return err
}

// refuse shuts the gate. The caller holds mu and must call after without it.
func (s *Session) refuse() (after func()) {
	if s.life().refusing() {
		return func() {}
	}
	s.setOutput(outputRefused)
	s.refused.shut()
	if s.puts.shut() {
		return s.putsGone
	}
	return func() {}
}

// putsGone runs once, when the gate is shut and empty.
func (s *Session) putsGone() {
	s.wakeWriter()
	s.release()
}

// needWriter starts the writer if the session still has use for one. It returns
// the writer's state, with its channels.
func (s *Session) needWriter() *writerState {
	o := s.writing()
	if s.life().hasWriter() {
		return o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.send == nil {
		o.send = make(chan []byte, s.set.SendQueue)
		o.sendBatch = make(chan *Batch, min(1, s.set.SendQueue))
		o.wake = make(chan struct{}, 1)
	}
	if l := s.life(); !l.hasWriter() && !l.over() {
		s.refs.Add(1)
		s.setLife(lifeWriter)
		go s.writeLoop(o)
	}
	return o
}

// writing returns the writer's state, which it makes on first use.
func (s *Session) writing() *writerState {
	if o := s.output.Load(); o != nil {
		return o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.output.Load()
	if o == nil {
		o = newWriterState(s)
		s.output.Store(o)
	}
	return o
}

// wakeWriter makes the writer look at all its sources, as it does when it
// starts. Everything that is not a message in send reaches the writer this way.
func (s *Session) wakeWriter() {
	if !s.life().hasWriter() {
		return
	}
	o := s.output.Load()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// writeLoop is the session's writer. needWriter starts it; it ends with the
// session.
func (s *Session) writeLoop(o *writerState) {
	defer s.release()
	o.turn.Lock()
	for s.writeOnce(o) {
	}
	o.batch.free()
	o.hubs = hubReader{}
	o.gone = true
	o.turn.Unlock()
	s.framed.outputEnded()
	s.refuseSends(o)
}

// refuseSends drains what is sent after the output has ended or failed, while
// the session lives on: a sender that waits for room or for Done must not hang.
func (s *Session) refuseSends(o *writerState) {
	send, batches := o.send, o.sendBatch
	if o.closed {
		send = nil
	}
	if o.batches.closed {
		batches = nil
	}
	for !s.over() {
		s.mu.Lock()
		s.resolveFlushes()
		s.mu.Unlock()
		select {
		case m, ok := <-send:
			if !ok {
				o.closed, send = true, nil
				continue
			}
			s.lost(1, int64(len(m)))
		case b, ok := <-batches:
			if !ok {
				batches = nil
			} else if b.take(s.id) == nil {
				s.lost(int64(b.Len()), int64(b.Size()))
				b.recycle()
			}
		case <-o.wake:
		}
	}
}

// writeOnce gathers what the sources have and writes it, or waits if there was
// nothing. It reports whether to go on.
func (s *Session) writeOnce(o *writerState) bool {
	life := s.life()
	if life.over() {
		s.abandon(o)
		return false
	}
	if !o.last && life.refusing() && s.puts.empty() {
		// A bare sender may go on filling send. It must not keep the writer from
		// ending.
		o.last, o.left, o.batches.left = true, len(o.send), len(o.sendBatch)
	}
	if s.flushed.Load() && o.batch.empty() {
		s.checkFlushes(o)
	}
	s.gather(o)
	drained := o.last && s.hubsDrained() // evaluated once: the answer may change at any time
	switch {
	case o.bad != nil && o.batch.empty():
		s.end(s.errorAt("write", o.bad))
		return true // the next round abandons the rest
	case !o.batch.empty(), drained && s.framed.end(&o.batch):
		return s.writeBatch(o)
	case drained:
		s.endOutput()
		return false
	}
	o.batch.free()
	if err := s.records.flush(); err != nil { // what the reader left
		s.fails(o, err)
		return false
	}
	if s.flushed.Load() {
		s.checkFlushes(o) // a hub's member that was parked may be all that one waited for
	}
	s.awaitWork(o)
	return true
}

// gather fills the batch from all sources without blocking: first the framing's
// replies, then messages from send and batches, which take turns at going first,
// then each hub's messages. Every message is added whole.
func (s *Session) gather(o *writerState) {
	s.framed.gather(&o.batch)
	s.gatherPing(o)
	o.batches.first = !o.batches.first
	if o.batches.first {
		s.gatherBatches(o)
	}
	s.gatherMessages(o)
	s.gatherBatches(o)
	if o.bad == nil {
		s.gatherHubs(o)
	}
}

// gatherMessages adds messages from send while there is room.
func (s *Session) gatherMessages(o *writerState) {
	for !o.batch.full() && s.receives(o) {
		select {
		case m, ok := <-o.send:
			s.accept(o, m, ok)
		default:
			return
		}
	}
}

// receives reports whether the writer still receives from send.
func (s *Session) receives(o *writerState) bool {
	return !o.closed && o.bad == nil && (!o.last || o.left > 0)
}

// accept adds m, which was received from send, to the batch, after the framing's
// replies: m may answer input that arrived after what they reply to. If the user closed send,
// that means CloseWrite.
func (s *Session) accept(o *writerState, m []byte, ok bool) {
	s.framed.gather(&o.batch)
	if !ok {
		o.closed = true
		s.closeOutput()
		return
	}
	o.taken++
	if o.last {
		o.left--
	}
	s.movedOn()
	err := s.checkSize(len(m))
	if err != nil && s.traits.lossy {
		s.datagramFailed(len(m), err)
		return
	}
	if err == nil {
		err = o.batch.add(m, s.set.codec)
	}
	if err != nil {
		s.lost(1, int64(len(m)))
		o.bad = err
	}
}

// awaitWork waits for a message or a wake-up, and meanwhile leaves the turn to
// others.
func (s *Session) awaitWork(o *writerState) {
	send := o.send
	if !s.receives(o) {
		send = nil
	}
	batches := o.sendBatch
	if !s.receivesBatches(o) {
		batches = nil
	}
	o.turn.Unlock()
	select {
	case m, ok := <-send:
		o.turn.Lock()
		s.accept(o, m, ok)
	case b, ok := <-batches:
		o.turn.Lock()
		s.acceptBatch(o, b, ok)
	case <-o.wake:
		o.turn.Lock()
	}
}

// writeBatch writes what was gathered and reports whether it succeeded.
func (s *Session) writeBatch(o *writerState) bool {
	s.stats.bytesPending.Store(int64(o.batch.size - o.batch.sent + o.batches.size))
	err := s.tr.write(&o.batch, (*flow)(s))
	s.timers.waiting.Store(0)
	if err != nil {
		s.fails(o, err)
		return false
	}
	s.wroteBatch(o)
	s.wroteHubs(o)
	return true
}

// wroteBatch notes that the kernel has the batch.
func (s *Session) wroteBatch(o *writerState) {
	s.wrotePing()
	s.watchAcknowledged()
	s.stats.messagesSent.Add(int64(o.batch.messages))
	o.batch.reset()
	s.stats.bytesPending.Store(int64(o.batches.size))
}

// fails ends the output with err.
func (s *Session) fails(o *writerState, err error) {
	s.outputFailed(s.errorAt("write", err))
	s.abandon(o)
}

// flow is the session as the transport sees it during a write.
type flow Session

var _ sock.Flow = (*flow)(nil)

func (f *flow) Wait()      { s := (*Session)(f); s.beginWait(&s.timers.waiting) }
func (f *flow) Over() bool { return (*Session)(f).over() }

// Progress counts n bytes that the kernel has taken.
func (f *flow) Progress(n int) {
	s := (*Session)(f)
	s.stats.bytesSent.Add(int64(n))
	s.stats.bytesPending.Add(-int64(n))
	s.output.Load().batch.sent += n
	s.pings.progress(s)
	s.movedOn()
}

// movedOn records, for HalfCloseTimeout, that a message was accepted or that the
// kernel took something.
func (s *Session) movedOn() {
	if s.life().input() != inputOpen {
		s.timers.used.Store(s.now())
	}
}

// abandon counts what was gathered but not written.
func (s *Session) abandon(o *writerState) {
	b := &o.batch
	if b.datagrams != nil {
		undone := len(b.parts) - b.datagrams.done
		s.stats.messagesSent.Add(int64(b.messages - undone))
		s.lost(int64(undone), int64(b.size-b.sent))
	} else if b.size > b.sent && b.messages > 0 {
		s.lost(int64(b.messages), int64(b.size-b.sent)) // some of them may have been sent
	}
	s.abandonBatches(o)
	s.lostHubs(o)
	b.reset()
	s.stats.bytesPending.Store(0)
}
