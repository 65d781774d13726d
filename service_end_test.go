package chanio_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

var errCause = errors.New("the cause")

func TestTheEndOfAService(t *testing.T) {
	for _, tc := range []struct {
		name  string
		end   func(t *testing.T, s *chanio.Service, cancel context.CancelCauseFunc)
		want  error // Err
		cause error // of Context
	}{
		{"by Close", func(t *testing.T, s *chanio.Service, _ context.CancelCauseFunc) {
			require.NoError(t, s.Close())
			require.NoError(t, s.Close())
		}, nil, chanio.ErrClosed},
		{"by Shutdown", func(t *testing.T, s *chanio.Service, _ context.CancelCauseFunc) {
			require.NoError(t, s.Shutdown(t.Context()))
			require.NoError(t, s.Shutdown(t.Context()))
		}, nil, chanio.ErrClosed},
		{"by its context", func(_ *testing.T, _ *chanio.Service, cancel context.CancelCauseFunc) {
			cancel(errCause)
		}, errCause, errCause},
		{"by its context, then Close", func(_ *testing.T, s *chanio.Service, cancel context.CancelCauseFunc) {
			cancel(errCause)
			s.Close()
		}, errCause, errCause},
		{"by Close, then its context", func(_ *testing.T, s *chanio.Service, cancel context.CancelCauseFunc) {
			s.Close()
			cancel(errCause)
		}, nil, chanio.ErrClosed},
		{"by its context, closed", func(_ *testing.T, _ *chanio.Service, cancel context.CancelCauseFunc) {
			cancel(chanio.ErrClosed)
		}, chanio.ErrClosed, chanio.ErrClosed},
		{"by an error of Go", func(_ *testing.T, s *chanio.Service, _ context.CancelCauseFunc) {
			s.Go(func(context.Context) error { return errCause })
		}, errCause, errCause},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				s := chanio.NewService(ctx, nil)
				inner := s.Context()
				require.NoError(t, inner.Err())
				require.NoError(t, s.Err())
				synctest.Wait()
				tc.end(t, s, cancel)
				<-s.Done()
				synctest.Wait()
				require.Equal(t, tc.want, s.Err())
				require.Equal(t, tc.cause, context.Cause(inner))

				unwanted := func(context.Context) { panic("it runs") }
				err := s.Post(unwanted)
				require.ErrorIs(t, err, chanio.ErrClosed)
				require.EqualError(t, err, "chanio: post service: closed")
				require.ErrorIs(t, s.Dispatch(t.Context(), unwanted), chanio.ErrClosed)
				s.Go(func(context.Context) error { panic("it runs") })
				ended, stop := context.WithCancel(t.Context())
				stop()
				require.NoError(t, s.Close())
				require.NoError(t, s.Shutdown(ended))
				require.Equal(t, tc.want, s.Err())
			})
		})
	}
}

func TestInvalidOptionsEndAServiceBeforeItStarts(t *testing.T) {
	s := chanio.NewService(t.Context(), &chanio.Options{PostQueue: -1})
	select {
	case <-s.Done():
	default:
		t.Fatal("not done")
	}
	require.ErrorContains(t, s.Err(), "chanio: option PostQueue = -1 ")
	require.Equal(t, s.Err(), context.Cause(s.Context()))
	require.ErrorIs(t, s.Post(func(context.Context) {}), chanio.ErrClosed)
	require.NoError(t, s.Shutdown(t.Context()))
	require.ErrorContains(t, s.Restart(t.Context()), "option PostQueue")
}

func TestCloseDropsWhatIsQueuedAndCancels(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		canceled, release := make(chan struct{}), make(chan struct{})
		mustPost(t, s, func(ctx context.Context) {
			<-ctx.Done()
			close(canceled)
			<-release
		})
		synctest.Wait()
		mustPost(t, s, func(context.Context) { panic("it runs") })
		require.NoError(t, s.Close())
		<-canceled
		synctest.Wait()
		select {
		case <-s.Done():
			t.Fatal("done while a function runs")
		default:
		}
		require.NoError(t, s.Err(), "it has not ended yet")
		require.ErrorIs(t, s.Post(func(context.Context) { panic("it runs") }), chanio.ErrClosed)
		close(release)
		<-s.Done()
	})
}

func TestShutdownRunsAllThatWasAccepted(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		release := occupy(t, s)
		ran := 0
		var chain func(ctx context.Context)
		chain = func(ctx context.Context) {
			if ran++; ran%10 != 0 {
				_ = s.Post(chain)
			}
			if ctx.Err() != nil {
				panic("the context ends after the last function")
			}
		}
		mustPost(t, s, chain)
		mustPost(t, s, func(context.Context) { ran += 1000 })
		ended := make(chan error)
		for range 3 {
			go func() { ended <- s.Shutdown(t.Context()) }()
		}
		synctest.Wait()
		mustPost(t, s, func(context.Context) { ran += 1000 }) // before the last one has run
		release()
		for range 3 {
			require.NoError(t, <-ended)
		}
		require.Equal(t, 2010, ran)
		require.NoError(t, s.Err())
	})
}

func TestShutdownWaitsForTheFunctionsOfGo(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		left := false
		s.Go(func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(time.Minute)
			left = true
			return ctx.Err() // not why the service ended
		})
		require.NoError(t, s.Shutdown(t.Context()))
		require.True(t, left)
		require.NoError(t, s.Err())
	})
}

func TestShutdownWhoseContextEndsDropsTheRest(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		start := time.Now()
		mustPost(t, s, func(ctx context.Context) {
			<-ctx.Done()
			<-time.After(time.Hour) // and Shutdown does not wait for it
		})
		mustPost(t, s, func(context.Context) { panic("it runs") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		<-s.Done()
		require.Equal(t, time.Minute+time.Hour, time.Since(start))
		require.NoError(t, s.Err())
	})
}

func TestCloseCutsAShutdownShort(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		release := occupy(t, s)
		mustPost(t, s, func(context.Context) { panic("it runs") })
		ended := make(chan error)
		go func() { ended <- s.Shutdown(t.Context()) }()
		synctest.Wait()
		s.Close()
		release()
		require.NoError(t, <-ended)
	})
}

func TestCloseAndShutdownFromInsideStartTheEndAndReturn(t *testing.T) {
	contexts := []struct {
		name string
		pick func(inside, outside context.Context) context.Context
	}{
		{"its own context", func(inside, _ context.Context) context.Context { return inside }},
		{"one derived from its own", func(inside, _ context.Context) context.Context {
			return context.WithoutCancel(inside)
		}},
		{"the background", func(_, _ context.Context) context.Context { return context.Background() }},
		{"another context", func(_, outside context.Context) context.Context { return outside }},
	}
	calls := []struct {
		name string
		call func(s *chanio.Service, ctx context.Context) error
		want int // functions run
	}{
		{"Close", func(s *chanio.Service, _ context.Context) error { return s.Close() }, 1},
		{"Shutdown", func(s *chanio.Service, ctx context.Context) error { return s.Shutdown(ctx) }, 3},
	}
	for _, call := range calls {
		for _, in := range contexts {
			t.Run(call.name+" with "+in.name, func(t *testing.T) {
				withService(t, nil, func(t *testing.T, s *chanio.Service) {
					release := occupy(t, s)
					ran := 0
					var err error
					mustPost(t, s, func(ctx context.Context) {
						ran++
						// A dispatched function is on the same goroutine.
						_ = s.Dispatch(ctx, func(ctx context.Context) {
							err = call.call(s, in.pick(ctx, t.Context()))
						})
						_ = s.Post(func(context.Context) { ran++ })
					})
					mustPost(t, s, func(context.Context) { ran++ })
					release()
					<-s.Done()
					require.NoError(t, err)
					require.NoError(t, s.Err())
					require.Equal(t, call.want, ran)
				})
			})
		}
	}
}

// waysInside are the ways in which a call can come from inside a service. Each
// runs call.
var waysInside = map[string]func(s *chanio.Service, call func(ctx context.Context)){
	"a posted function, its own context": func(s *chanio.Service, call func(ctx context.Context)) {
		_ = s.Post(call)
	},
	"a posted function, another context": func(s *chanio.Service, call func(ctx context.Context)) {
		_ = s.Post(func(context.Context) { call(context.Background()) })
	},
	"a posted function that waits for a helper": func(s *chanio.Service, call func(ctx context.Context)) {
		_ = s.Post(func(ctx context.Context) { helper(func() { call(ctx) }) })
	},
	"a function of Go, its own context": func(s *chanio.Service, call func(ctx context.Context)) {
		s.Go(func(ctx context.Context) error { call(ctx); return nil })
	},
	"a function of Go, another context": func(s *chanio.Service, call func(ctx context.Context)) {
		s.Go(func(context.Context) error { call(context.Background()); return nil })
	},
	"a function of Go that waits for a helper": func(s *chanio.Service, call func(ctx context.Context)) {
		s.Go(func(ctx context.Context) error { helper(func() { call(ctx) }); return nil })
	},
	"a function of another service under it": func(s *chanio.Service, call func(ctx context.Context)) {
		s.Go(func(ctx context.Context) error {
			other := chanio.NewService(ctx, nil)
			_ = other.Post(call)
			<-other.Done()
			return nil
		})
	},
}

// helper runs f on another goroutine and waits for it.
func helper(f func()) {
	var g sync.WaitGroup
	g.Go(f)
	g.Wait()
}

func TestShutdownFromInsideNeverWaitsForItsCaller(t *testing.T) {
	for name, run := range waysInside {
		t.Run(name, func(t *testing.T) {
			withService(t, nil, func(t *testing.T, s *chanio.Service) {
				returned := make(chan error, 1)
				run(s, func(ctx context.Context) { returned <- s.Shutdown(ctx) })
				<-s.Done()
				require.NoError(t, <-returned)
				require.NoError(t, s.Err())
			})
		})
	}
}

func TestShutdownFromInsideIsBoundedByItsContext(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		bound, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		mustPost(t, s, func(context.Context) {
			_ = s.Shutdown(bound)
			_ = s.Post(func(ctx context.Context) { <-ctx.Done() })
			_ = s.Post(func(context.Context) { panic("it runs") })
		})
		<-s.Done()
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, s.Err())
	})
}

func TestShutdownOfAnotherServiceFromInsideWaitsForIt(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		other := chanio.NewService(t.Context(), nil)
		release := occupy(t, other)
		ended := make(chan error, 1)
		mustPost(t, s, func(ctx context.Context) { ended <- other.Shutdown(ctx) })
		synctest.Wait()
		require.Empty(t, ended)
		release()
		require.NoError(t, <-ended)
	})
}

func TestTheFirstErrorOfGoEndsTheService(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		start := time.Now()
		s.Go(func(context.Context) error { return nil }) // ends nothing
		s.Go(func(context.Context) error {
			<-time.After(time.Minute)
			return errCause
		})
		s.Go(func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(time.Minute)
			return errors.New("the second")
		})
		mustPost(t, s, func(ctx context.Context) {
			s.Go(func(ctx context.Context) error { <-ctx.Done(); return nil }) // from inside
			<-ctx.Done()
		})
		mustPost(t, s, func(context.Context) { panic("it runs") })
		<-s.Done()
		require.Equal(t, errCause, s.Err())
		require.Equal(t, 2*time.Minute, time.Since(start), "done waits for all of them")
	})
}

func TestAnErrorOfGoCutsAShutdownShort(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		mustPost(t, s, func(ctx context.Context) { <-ctx.Done() })
		mustPost(t, s, func(context.Context) { panic("it runs") })
		s.Go(func(context.Context) error {
			<-time.After(time.Minute)
			return errCause
		})
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, errCause, s.Err())
	})
}
