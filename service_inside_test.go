package chanio_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestDispatchFromInsideRunsBeforeItReturns(t *testing.T) {
	type key struct{}
	for _, tc := range []struct {
		name   string
		derive func(ctx context.Context) context.Context
	}{
		{"with the function's context", func(ctx context.Context) context.Context { return ctx }},
		{"with one that has a value", func(ctx context.Context) context.Context {
			return context.WithValue(ctx, key{}, 1)
		}},
		{"with one that can be canceled", func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withService(t, nil, func(t *testing.T, s *chanio.Service) {
				var order []int
				mustPost(t, s, func(ctx context.Context) {
					order = append(order, 1)
					passed := tc.derive(ctx)
					_ = s.Dispatch(passed, func(inner context.Context) {
						order = append(order, 2)
						if inner != passed {
							order = append(order, -1)
						}
						_ = s.Dispatch(inner, func(context.Context) { order = append(order, 3) })
						order = append(order, 4)
					})
					order = append(order, 5)
				})
				require.NoError(t, s.Shutdown(t.Context()))
				require.Equal(t, []int{1, 2, 3, 4, 5}, order)
			})
		})
	}
}

func TestDispatchFromAnywhereElseIsQueued(t *testing.T) {
	for _, tc := range []struct {
		name string
		ctx  func(t *testing.T, s *chanio.Service) context.Context
	}{
		{"with a context of another kind", func(t *testing.T, _ *chanio.Service) context.Context { return t.Context() }},
		{"with the service's own context", func(_ *testing.T, s *chanio.Service) context.Context { return s.Context() }},
		{"with that of a function that has returned", contextOf},
		{"with one derived from that", func(t *testing.T, s *chanio.Service) context.Context {
			ctx, cancel := context.WithTimeout(contextOf(t, s), time.Hour)
			t.Cleanup(cancel)
			return ctx
		}},
		{"with that of another service's function, which runs", func(t *testing.T, _ *chanio.Service) context.Context {
			other := chanio.NewService(t.Context(), nil)
			given, release := make(chan context.Context), make(chan struct{})
			mustPost(t, other, func(ctx context.Context) { given <- ctx; <-release })
			t.Cleanup(func() {
				close(release)
				require.NoError(t, other.Shutdown(context.Background()))
			})
			return <-given
		}},
		{"with that of a Go function", func(t *testing.T, s *chanio.Service) context.Context {
			given := make(chan context.Context)
			s.Go(func(ctx context.Context) error { given <- ctx; return nil })
			return <-given
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withService(t, nil, func(t *testing.T, s *chanio.Service) {
				ctx := tc.ctx(t, s)
				release := occupy(t, s) // a function runs while Dispatch is called
				ran := make(chan struct{})
				require.NoError(t, s.Dispatch(ctx, func(context.Context) { close(ran) }))
				synctest.Wait()
				select {
				case <-ran:
					t.Fatal("it ran beside another function")
				default:
				}
				release()
				<-ran
			})
		})
	}
}

func TestAGoroutineThatKeptAContextNeverRunsInline(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		old := contextOf(t, s)
		unlocked := 0 // the race detector tells if functions run beside each other
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 500 {
					_ = s.Dispatch(old, func(context.Context) { unlocked++ })
					_ = s.Post(func(context.Context) { unlocked++ })
				}
			})
		}
		wg.Wait()
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, 4*500*2, unlocked)
	})
}
