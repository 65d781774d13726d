package chanio

// The writing of a session has a turn, a mutex. The writer has it except while
// it waits for work. A Put that finds it free and nothing waiting to be written
// takes it and writes by itself, which saves waking the writer. No Put waits for
// the turn, and the writer waits for it no longer than a Put's system call,
// which does not block.
//
// A Put writes what the kernel takes at once. The rest is left in the outbox
// for the writer, as is any error: only the writer waits, and only it ends
// the output.

// takeTurn decides whether a Put writes by itself. It then has the turn, and must
// call writeNow; otherwise takeTurn returns nil.
//
// The Put must not overtake what was sent before it. What other Puts have queued
// is counted. What users send on the session's channels is not, so a session
// whose channels were asked for leaves everything to the writer.
//
// A program that puts many messages in a row is better served by the writer,
// which coalesces them. So only the first Put after each delivery writes by
// itself, and only if nothing else waits to be received.
func (s *Session) takeTurn() *writerState {
	if !s.answers.Load() || s.bare.Load() || s.unread() {
		return nil
	}
	o := s.writing()
	if !o.turn.TryLock() {
		return nil
	}
	if !o.idle() || o.queued.Load() != o.taken+o.batches.taken {
		o.turn.Unlock()
		return nil
	}
	s.answers.Store(false)
	o.queued.Add(1)
	return o
}

// idle reports whether nothing waits to be written and the writer, if there is
// one, will see what is.
func (o *writerState) idle() bool {
	return o.batch.empty() && o.batches.rest == nil && o.bad == nil && !o.gone
}

// allowAnswer allows the next Put to write by itself, if the transport can. The
// reader calls it before it delivers what that Put may answer.
func (s *Session) allowAnswer() {
	if s.traits.now != nil && !s.answers.Load() {
		s.answers.Store(true)
	}
}

// unread reports whether something waits to be received.
func (s *Session) unread() bool {
	switch form(s.form.Load()) {
	case formMessages:
		return len(s.recv) > 0
	case formBatches:
		return len(s.recvBatch) > 0
	}
	return false
}

// writeNow writes what was accepted, as far as the kernel takes it now, and gives
// back the turn.
func (s *Session) writeNow(o *writerState) {
	all := o.bad == nil
	if all && !o.batch.empty() {
		s.stats.bytesPending.Store(int64(o.batch.size + o.batches.size))
		all = s.traits.now.writeNow(&o.batch, (*flow)(s))
	}
	if all {
		s.wroteBatch(o)
		all = o.batches.rest == nil
	}
	if !all {
		s.leaveToWriter(o)
		return
	}
	o.batch.free()
	o.turn.Unlock()
}

// leaveToWriter gives the turn to the writer, with what is left to be written.
func (s *Session) leaveToWriter(o *writerState) {
	s.needWriter()
	if !s.life().hasWriter() { // the session has ended, and never had one
		s.abandon(o)
		o.batch.free()
	}
	o.turn.Unlock()
	s.wakeWriter()
}
