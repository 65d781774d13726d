package chanio

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A Service is a serial executor: it runs the functions posted to it one at a
// time, in the order in which they were accepted, on a goroutine of its own.
// What only such functions touch needs no lock.
//
// Its methods are safe for concurrent use, also from inside the functions it
// runs. Listeners, clients and timers that are given its [Service.Context]
// live as long as the service does.
type Service struct {
	lifetime context.Context // NewService's: every run is under it
	limit    int             // Options.PostQueue
	wake     chan struct{}   // has room for one: there may be something for the loop to do

	mu    sync.Mutex
	queue postQueue   // what was accepted and has not begun
	run   *serviceRun // the one that goes on or was the last
}

// serviceRun is the life of a service from its start, or a restart, to its end.
type serviceRun struct {
	ctx    context.Context // its end is the run's, and its cause is why
	cancel context.CancelCauseFunc
	calls  *runContext     // ctx, as the functions are handed it
	group  *errgroup.Group // the functions of Go; the first error cancels ctx
	woken  chan struct{}   // closed when ctx has ended and the loop been told
	done   chan struct{}   // closed by the loop, as its last act

	// With the service's mu held:
	goroutines map[uint64]struct{} // those of the loop and of the functions of Go
	draining   bool                // Shutdown: the run ends when the queue is empty
	closed     bool                // ended by Close, Shutdown or Restart
	restart    bool                // Restart from inside: another run follows
	err        error               // written before done is closed
}

// What a service refuses. Who posts may do so often, so these are made once.
var (
	errNilFunction = errors.New("nil function")
	errPostClosed  = wrapOp("post", "service", nil, nil, ErrClosed)
	errPostFull    = wrapOp("post", "service", nil, nil, ErrFull)
	errPostNil     = wrapOp("post", "service", nil, nil, errNilFunction)
	errGoNil       = wrapOp("go", "service", nil, nil, errNilFunction)
)

// NewService starts a service that runs until ctx ends or a call ends it. Of
// the options it uses PostQueue. With options that cannot be right it returns
// a service that has ended, whose Err names the field.
func NewService(ctx context.Context, o *Options) *Service {
	s := &Service{lifetime: ctx, wake: make(chan struct{}, 1)}
	set, err := o.resolve(false)
	if err != nil {
		var cancel context.CancelCauseFunc
		s.lifetime, cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		cancel(err)
		s.start()
		<-s.run.done
		return s
	}
	s.limit = set.PostQueue
	s.start()
	return s
}

// Post queues fn, to be run after all that was accepted before, and returns
// without waiting for it. It never blocks. fn is handed a context under
// [Service.Context] that is also what [Service.Dispatch] knows fn by.
//
// A panic in fn is not recovered, so it ends the program as in any goroutine.
// fn must return: it must not call [runtime.Goexit], as a test's FailNow does.
//
// Post returns [ErrFull] while [Options].PostQueue functions are waiting to be
// run, and [ErrClosed] once the service has ended or been told to by
// [Service.Close]. A function that was accepted may still be dropped when the
// service ends before its turn. While [Service.Shutdown] runs what was
// accepted, Post accepts more.
func (s *Service) Post(fn func(ctx context.Context)) error {
	if fn == nil {
		return errPostNil
	}
	s.mu.Lock()
	if s.run.ctx.Err() != nil {
		s.mu.Unlock()
		return errPostClosed
	}
	if s.queue.len >= s.limit {
		s.mu.Unlock()
		return errPostFull
	}
	s.queue.push(fn)
	first := s.queue.len == 1
	s.mu.Unlock()
	if first { // else the loop has been woken already
		s.notify()
	}
	return nil
}

// Dispatch runs fn before it returns if the caller is itself a function that
// this service runs right now; else it is [Service.Post], with its errors.
//
// The context tells: a goroutine has no identity in Go, so what a function
// passes here is the context it was handed, or one derived from it. fn is
// handed the same one. The context counts until the function it was handed to
// returns, and on that function's goroutine only: other goroutines, and what a
// function starts, use Post or another context.
func (s *Service) Dispatch(ctx context.Context, fn func(ctx context.Context)) error {
	if c, ok := ctx.Value(callKey{}).(*callContext); ok && c.service == s && !c.returned.Load() && fn != nil {
		fn(ctx)
		return nil
	}
	return s.Post(fn)
}

// Go runs fn on a goroutine of its own, beside the posted functions. The first
// fn that returns an error ends the service with it: what is queued is dropped
// and [Service.Context], which every fn is handed, is canceled. The service is
// not done before all of them have returned.
//
// Once the service has ended or been closed, Go does nothing. fn must not wait
// for Done: fn's own return is a part of it. It may call Close, Shutdown and
// Restart, which then do not wait.
func (s *Service) Go(fn func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.run; r.ctx.Err() == nil {
		r.group.Go(func() error {
			if fn == nil {
				return errGoNil
			}
			id := goroutineID()
			s.enter(r, id)
			defer s.leave(r, id)
			return fn(r.calls)
		})
	}
}

// enter notes that the goroutine with that number is one of r's.
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

// Context returns the context of what belongs to the service: it ends when the
// service does, with [ErrClosed] as its cause after Close or Shutdown, else
// with what Err is. Each [Service.Restart] makes a new one.
func (s *Service) Context() context.Context { return s.current().ctx }

// Done returns a channel that is closed when the service has ended and its
// goroutines are gone, those of [Service.Go] included. Each [Service.Restart]
// makes a new one.
func (s *Service) Done() <-chan struct{} { return s.current().done }

// Err returns nil until Done is closed, and after Close and Shutdown; else why
// the service ended: the first error of a function of [Service.Go], the cause
// of its context's end, or the option that cannot be right.
func (s *Service) Err() error {
	r := s.current()
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Close starts the service's end and returns at once: what is queued is
// dropped and [Service.Context] is canceled. A function that is running is not
// interrupted, other than by its context. [Service.Done] tells when all is
// gone. Close is idempotent and its error is always nil.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run.close()
	s.run.restart = false
	return nil
}

// Shutdown ends the service when it has run all that was accepted, what those
// functions post included, and returns nil when its goroutines are gone, those
// of [Service.Go] included: their context is canceled after the last posted
// function. If ctx ends before that, the rest is dropped as by [Service.Close]
// and Shutdown returns ctx's error at once.
//
// Called by a function that the service runs, posted or of Go, Shutdown starts
// the end and returns nil, because it would wait for its own caller; the end of
// ctx still drops the rest. The same holds for a call with the context that such
// a function was handed, or one derived from it, whoever makes it: a function
// that waits for a helper's Shutdown hands it that context.
func (s *Service) Shutdown(ctx context.Context) error {
	caller := goroutineID()
	s.mu.Lock()
	r := s.run
	r.draining = true
	r.restart = false
	inside := s.inside(ctx, caller)
	s.mu.Unlock()
	s.notify()

	if inside {
		s.boundShutdown(ctx, r)
		return nil
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-r.done: // before ctx's end, or with it
		return nil
	default:
		s.abandon(r)
		return ctx.Err()
	}
}

// boundShutdown drops what r has left to run when ctx ends.
func (s *Service) boundShutdown(ctx context.Context, r *serviceRun) {
	stop := context.AfterFunc(ctx, func() { s.abandon(r) })
	context.AfterFunc(r.ctx, func() { stop() })
}

// Restart ends the service as [Service.Close] does, unless it has ended
// already, waits until Done is closed, and starts it again, with a new Context
// and a new Done. To run what is queued first, call [Service.Shutdown] before.
//
// ctx bounds the waiting: when it ends, Restart returns its error and the
// service stays closed. (A context under the service's own ends with it.) A
// service whose options or whose lifetime, the context given to [NewService],
// ended it cannot be restarted; the error is what Err was.
//
// Called by a function that the service runs, or with the context that one was
// handed, as [Service.Shutdown] says, Restart starts the end and returns nil. The
// service starts again when its functions have returned, unless Close or Shutdown
// is called before.
func (s *Service) Restart(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	caller := goroutineID()
	s.mu.Lock()
	r := s.run
	r.close()
	r.restart = s.inside(ctx, caller)
	inside := r.restart
	s.mu.Unlock()
	if inside {
		return s.restartable()
	}

	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run != r {
		return nil // another Restart was faster
	}
	if err := s.restartable(); err != nil {
		return err
	}
	s.start()
	return nil
}

// restartable returns an error if the service's lifetime is over.
func (s *Service) restartable() error {
	if s.lifetime.Err() != nil {
		return wrapOp("restart", "service", nil, nil, context.Cause(s.lifetime))
	}
	return nil
}

// start begins a run, with mu held or s not shared yet.
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

func (s *Service) current() *serviceRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// notify wakes the loop, or keeps it from going to sleep.
func (s *Service) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // the loop has yet to look
	}
}

// abandon ends r without running what is queued.
func (s *Service) abandon(r *serviceRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.close()
}

// close ends r as its owner wished, with the service's mu held. What ended it
// first stays the cause.
func (r *serviceRun) close() {
	r.closed = true
	r.cancel(ErrClosed)
}

// loop is the service's own goroutine, from start to the end of r. There is no
// deferred call in it: one would run, and tell others of an orderly end, while
// the panic of a posted function is about to end the program.
func (s *Service) loop(r *serviceRun) {
	s.enter(r, goroutineID())

	var calls []callContext // unused ones: it is cheaper to make some at once
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

// finish drops what is queued, waits for the functions of Go and closes done. It
// starts the run that a Restart from inside has asked for.
func (s *Service) finish(r *serviceRun) {
	s.mu.Lock()
	s.queue = postQueue{}
	s.mu.Unlock()
	// Whoever locks mu from here on finds that ctx has ended, so Post adds
	// nothing to the queue and Go nothing to the group that is waited for.
	r.group.Wait()      // its error is the cause of ctx's end, or came after it
	r.cancel(ErrClosed) // for lifetime to forget the run: an error of Go ended the group's ctx only
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
