package chanio

import (
	"context"
	"slices"
)

// A flush is a call of Flush that waits for the writer.
type flush struct {
	result  chan error // one slot: the writer never waits for who gave up
	aimed   bool       // what follows is set
	taken   int64      // how many messages from send must have been written
	batches int64      // and how many from sendBatch
	hubs    []hubMark  // and how far into the logs of its hubs
}

// Flush waits until all that was accepted before it, and all that the session's
// hubs published before it, is in the kernel, and returns nil. It returns ctx's
// error when ctx ends first, and an error that is ErrClosed when the session
// ended with something undelivered. On udp it returns what the first datagram
// failed of that could not be sent since the last Flush.
func (s *Session) Flush(ctx context.Context) error {
	f := &flush{result: make(chan error, 1)}
	s.mu.Lock()
	switch {
	case s.over():
		s.mu.Unlock()
		select {
		case <-s.done: // soon: Undelivered is exact then
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
	if i := slices.Index(s.flushes, f); i >= 0 {
		s.flushes = slices.Delete(s.flushes, i, i+1)
		s.flushed.Store(len(s.flushes) > 0)
	}
	return ctx.Err()
}

// flushResult is what Flush returns once the output has ended.
func (s *Session) flushResult() error {
	if s.stats.lost.Load() == 0 && s.life().output() != outputFailed {
		return s.takeLoss()
	}
	return s.errorAt("flush", ErrClosed)
}

// takeLoss returns the error of datagrams that were lost since it was last called.
func (s *Session) takeLoss() error {
	if d := s.output.batch.datagrams; d != nil {
		return d.loss.take()
	}
	return nil
}

// checkFlushes answers the waiters whose messages are written. The writer calls
// it with an empty batch: all that it has taken is written.
func (s *Session) checkFlushes(o *writerState) {
	if s.hubs.lagged.Load() {
		return // it is about to end, with messages of a hub undelivered
	}
	s.mu.Lock()
	waiting := slices.Clone(s.flushes)
	s.mu.Unlock()
	for _, f := range waiting {
		if !f.aimed {
			f.aimed = true
			f.taken = o.taken + int64(len(s.send))
			f.batches = o.batches.taken + int64(len(s.sendBatch))
			if o.batches.rest != nil {
				f.batches++
			}
			f.hubs = s.markHubs() // without mu: hubs have theirs first
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
		err := s.takeLoss() // for all that wait, and nobody else
		for _, f := range done {
			f.result <- err
		}
	}
	s.flushed.Store(len(s.flushes) > 0)
}

// resolveFlushes answers all waiters with err. The caller holds mu.
func (s *Session) resolveFlushes(err error) {
	for _, f := range s.flushes {
		f.result <- err
	}
	s.flushes = nil
	s.flushed.Store(false)
}
