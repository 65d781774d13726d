package chanio

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// serviceRun is one life of a service, from its start or a restart to its end.
type serviceRun struct {
	ctx    context.Context // ends with the run; its cause says why
	cancel context.CancelCauseFunc
	calls  *runContext     // ctx as it is passed to the functions
	group  *errgroup.Group // the functions of Go; the first error cancels ctx
	woken  chan struct{}   // closed when ctx has ended and the loop has been told
	done   chan struct{}   // closed by the loop, as its last act

	// Guarded by the service's mu:
	goroutines map[uint64]struct{} // the loop's and those of Go functions
	draining   bool                // Shutdown: the run ends when the queue is empty
	closed     bool                // ended by Close, Shutdown or Restart
	restart    bool                // Restart from inside: another run follows
	err        error               // written before done is closed
}

// enter records that a goroutine belongs to r.
func (s *Service) enter(r *serviceRun, goroutine uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.goroutines[goroutine] = struct{}{}
}

// leave undoes enter.
func (s *Service) leave(r *serviceRun, goroutine uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(r.goroutines, goroutine)
}

// start begins a run. The caller holds mu, or s is not shared yet.
func (s *Service) start() {
	ctx, cancel := context.WithCancelCause(s.lifetime)
	group, ctx := errgroup.WithContext(ctx)
	r := &serviceRun{
		ctx:    ctx,
		cancel: cancel,
		calls:  &runContext{ctx, s},
		group:  group,
		woken:  make(chan struct{}),
		done:   make(chan struct{}),

		goroutines: make(map[uint64]struct{}),
	}
	context.AfterFunc(ctx, func() {
		s.notify()
		close(r.woken)
	})
	s.run = r
	go s.loop(r)
}

// notify wakes the loop or keeps it from going to sleep.
func (s *Service) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // the loop has not looked yet
	}
}

// abandon ends r without running what is queued.
func (s *Service) abandon(r *serviceRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.close()
}

// close ends r at its owner's request. If something ended it before, that
// remains the cause. The caller holds the service's mu.
func (r *serviceRun) close() {
	r.closed = true
	r.cancel(ErrClosed)
}

// loop is the service's own goroutine, from the start to the end of r. It has
// no deferred call: one would run, and report a normal end to others, while the
// panic of a posted function is about to end the program.
func (s *Service) loop(r *serviceRun) {
	s.enter(r, goroutineID())

	var calls []callContext // unused ones: making several at once is cheaper
	for fn := s.take(r); fn != nil; fn = s.take(r) {
		if len(calls) == 0 {
			calls = make([]callContext, 8)
		}
		call := &calls[0]
		calls = calls[1:]
		call.runContext = r.calls
		fn(call)
		call.returned.Store(true)
	}
	s.finish(r)
}

// take waits for the next function and returns it, or nil when r ends.
func (s *Service) take(r *serviceRun) func(context.Context) {
	for {
		s.mu.Lock()
		if r.draining && s.queue.len == 0 {
			r.close()
		}
		if r.ctx.Err() != nil {
			s.mu.Unlock()
			return nil
		}
		if s.queue.len > 0 {
			fn := s.queue.pop()
			s.mu.Unlock()
			return fn
		}
		s.mu.Unlock()
		<-s.wake
	}
}

// finish drops what is queued, waits for the functions of Go and closes done.
// It starts the next run if a Restart from inside asked for one.
func (s *Service) finish(r *serviceRun) {
	s.mu.Lock()
	s.queue = postQueue{}
	s.mu.Unlock()
	// Every holder of mu sees from here on that ctx has ended, so Post adds
	// nothing to the queue, and Go nothing to the group.
	r.group.Wait()      // its error is ctx's cause, or came later
	r.cancel(ErrClosed) // lets lifetime forget the run: an error of Go ended only the group's ctx
	<-r.woken

	s.mu.Lock()
	if cause := context.Cause(r.ctx); !r.closed || cause != ErrClosed {
		r.err = cause
	}
	if r.restart && s.lifetime.Err() == nil {
		s.start()
	}
	s.mu.Unlock()
	close(r.done)
}
