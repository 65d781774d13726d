package chanio

import (
	"context"
	"errors"
	"sync"
)

// A Service is a serial executor. It runs the functions posted to it one at a
// time, in the order in which they were accepted, on its own goroutine. Data
// that only such functions touch needs no lock.
//
// Its methods are safe for concurrent use, including from the functions it
// runs. Listeners, clients and timers that are given its [Service.Context] live
// as long as the service does.
type Service struct {
	lifetime context.Context // NewService's; every run derives from it
	limit    int             // Options.PostQueue
	wake     chan struct{}   // one slot: the loop may have something to do

	mu    sync.Mutex
	queue postQueue   // accepted and not yet begun
	run   *serviceRun // the current run, or the last one
}

// Errors for what a service refuses, made once because callers may post often.
var (
	errNilFunction = errors.New("nil function")
	errPostClosed  = wrapOp("post", "service", nil, nil, ErrClosed)
	errPostFull    = wrapOp("post", "service", nil, nil, ErrFull)
	errPostNil     = wrapOp("post", "service", nil, nil, errNilFunction)
	errGoNil       = wrapOp("go", "service", nil, nil, errNilFunction)
)

// NewService starts a service that runs until ctx ends or a call ends it. The
// only option it uses is PostQueue. Invalid options yield a service that has
// already ended, whose Err names the field.
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

// Post queues fn to run after everything accepted before it, and returns
// without waiting for it. It never blocks. fn receives a context derived from
// [Service.Context] that also identifies fn to [Service.Dispatch].
//
// A panic in fn is not recovered, so it ends the program as in any goroutine.
// fn must return: it must not call [runtime.Goexit], as a test's FailNow does.
//
// Post returns [ErrFull] while [Options].PostQueue functions are waiting to
// run, and [ErrClosed] once the service has ended or [Service.Close] was
// called. An accepted function may still be dropped if the service ends before
// its turn. While [Service.Shutdown] runs what was accepted, Post accepts more.
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
	if first { // otherwise the loop has already been woken
		s.notify()
	}
	return nil
}

// Dispatch runs fn before it returns if the caller is itself a function that
// this service is running. Otherwise it is [Service.Post], with its errors.
//
// The context decides. Goroutines have no identity in Go, so a function passes
// the context it was given, or one derived from it, and fn receives the same
// one. The context counts only until its function returns, and only on that
// function's goroutine: other goroutines, including those the function starts,
// must use Post or another context.
func (s *Service) Dispatch(ctx context.Context, fn func(ctx context.Context)) error {
	if c, ok := ctx.Value(callKey{}).(*callContext); ok && c.service == s && !c.returned.Load() && fn != nil {
		fn(ctx)
		return nil
	}
	return s.Post(fn)
}

// Go runs fn on its own goroutine, alongside the posted functions. The first fn
// that returns an error ends the service with that error: queued functions are
// dropped and [Service.Context], which every fn receives, is canceled. The
// service is not done until all of them have returned.
//
// Once the service has ended or been closed, Go does nothing. fn must not wait
// for Done, which waits for fn. It may call Close, Shutdown and Restart, which
// then do not wait.
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

// Context returns the context for everything that belongs to the service. It
// ends with the service. Its cause is [ErrClosed] after Close or Shutdown,
// otherwise what Err returns. Each [Service.Restart] makes a new one.
func (s *Service) Context() context.Context { return s.current().ctx }

// Done returns a channel that is closed when the service has ended and its
// goroutines have exited, including those of [Service.Go]. Each
// [Service.Restart] makes a new one.
func (s *Service) Done() <-chan struct{} { return s.current().done }

// Err returns nil until Done is closed, and after Close and Shutdown. Otherwise
// it returns why the service ended: the first error of a [Service.Go] function,
// the cause of its context's end, or the invalid option.
func (s *Service) Err() error {
	r := s.current()
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Close starts the service's end and returns at once. Queued functions are
// dropped and [Service.Context] is canceled. A running function is interrupted
// only by its context. [Service.Done] is closed when the service has ended.
// Close is idempotent and always returns nil.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run.close()
	s.run.restart = false
	return nil
}

// Shutdown ends the service after it has run everything that was accepted,
// including what those functions post. It returns nil when the service's
// goroutines have exited, including those of [Service.Go], whose context is
// canceled after the last posted function. If ctx ends first, the rest is
// dropped as by [Service.Close], and Shutdown returns ctx's error at once.
//
// Called by a function that the service runs, posted or started by Go, Shutdown
// would wait for its own caller. It therefore starts the end and returns nil;
// the end of ctx still drops the rest. The same holds for any call with the
// context that such a function received, or one derived from it. A function
// that waits for a helper's Shutdown must pass it that context.
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

// Restart ends the service as [Service.Close] does, unless it has already
// ended, waits until Done is closed, and starts it again with a new Context and
// a new Done. To run what is queued first, call [Service.Shutdown] before.
//
// ctx bounds the wait. When it ends, Restart returns its error and the service
// stays closed, unless another Restart is under way. (A context derived from
// the service's own ends with it.) A service that was ended by its options or
// by the context passed to [NewService] cannot be restarted; the error is the
// one that Err returned.
//
// Called by a function that the service runs, or with the context that one
// received, as described at [Service.Shutdown], Restart starts the end and
// returns nil. The service starts again when its functions have returned,
// unless Close or Shutdown is called first.
func (s *Service) Restart(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	caller := goroutineID()
	s.mu.Lock()
	r := s.run
	r.close()
	inside := s.inside(ctx, caller)
	r.restart = r.restart || inside
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

func (s *Service) current() *serviceRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}
