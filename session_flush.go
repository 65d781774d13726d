package chanio

import (
	"context"
	"slices"
)

// A flush is a call of Flush that waits for the writer.
type flush struct {
	result  chan error // one slot: the writer never waits for a Flush that gave up
	aimed   bool       // the fields below are set
	taken   int64      // how many messages from send must be written
	batches int64      // and how many from sendBatch
	hubs    []hubMark  // and how far into the logs of its hubs
}

// Flush waits until everything accepted before the call, and everything that
// the session's hubs published before it, is in the kernel. It returns ctx's
// error if ctx ends first, and an error that is ErrClosed if the session ended
// with something undelivered. On udp it returns the error of the first datagram
// that could not be sent since the last Flush.
func (s *Session) Flush(ctx context.Context) error {
	f := &flush{result: make(chan error, 1)}
	s.mu.Lock()
	switch {
	case s.over():
		s.mu.Unlock()
		select {
		case <-s.done.wait(): // soon: Undelivered is exact then
			return s.flushResult()
		case <-ctx.Done():
			return ctx.Err()
		}
	case s.life().output() >= outputEnded, !s.life().hasWriter() && len(s.hubs.places) == 0:
		s.mu.Unlock()
		return s.flushResult()
	}
	s.flushes = append(s.flushes, f)
	s.flushed.Store(true)
	s.mu.Unlock()
	s.needWriter()
	s.wakeWriter()

	select {
	case err := <-f.result:
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.flushes, f)
	if i < 0 {
		return <-f.result // both: a loss that it tells of is told nowhere else
	}
	s.flushes = slices.Delete(s.flushes, i, i+1)
	s.flushed.Store(len(s.flushes) > 0)
	return ctx.Err()
}

// flushResult is what Flush returns after the output has ended.
func (s *Session) flushResult() error {
	if s.stats.lost.Load() == 0 && s.life().output() != outputFailed {
		return s.takeLoss()
	}
	return s.errorAt("flush", ErrClosed)
}

// takeLoss returns the error of datagrams lost since the last call.
func (s *Session) takeLoss() error {
	if l := s.losses(); l != nil {
		return l.take()
	}
	return nil
}

// losses is what was lost of datagrams, nil on a stream and where nothing was sent.
func (s *Session) losses() *loss {
	if o := s.output.Load(); o != nil && o.batch.datagrams != nil {
		return &o.batch.datagrams.loss
	}
	return nil
}

// checkFlushes answers the waiters whose messages have been written. The writer
// calls it with an empty batch: everything it has taken is written.
func (s *Session) checkFlushes(o *writerState) {
	if s.hubs.lagged.Load() {
		return // it is about to end with messages of a hub undelivered
	}
	s.mu.Lock()
	waiting := slices.Clone(s.flushes)
	s.mu.Unlock()
	for _, f := range waiting {
		if !f.aimed {
			f.aimed = true
			f.taken = o.taken + int64(len(o.send))
			f.batches = o.batches.taken + int64(len(o.sendBatch))
			if o.batches.rest != nil {
				f.batches++
			}
			f.hubs = s.markHubs() // without mu: a hub's mutex comes first
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var done []*flush
	s.flushes = slices.DeleteFunc(s.flushes, func(f *flush) bool {
		if !f.aimed || o.taken < f.taken || o.batches.taken < f.batches || !hubsPast(f.hubs) {
			return false
		}
		done = append(done, f)
		return true
	})
	if len(done) > 0 {
		err := s.takeLoss() // for all current waiters, and only them
		for _, f := range done {
			f.result <- err
		}
	}
	s.flushed.Store(len(s.flushes) > 0)
}

// resolveFlushes answers all waiters, now that the output has ended. The caller
// holds mu.
func (s *Session) resolveFlushes() {
	if len(s.flushes) == 0 {
		return // losses are for Close, or a later Flush, to tell
	}
	err := s.flushResult()
	for _, f := range s.flushes {
		f.result <- err
	}
	s.flushes = nil
	s.flushed.Store(false)
}
