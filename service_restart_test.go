package chanio_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

func TestRestartBeginsAnew(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, s *chanio.Service)
	}{
		{"while running", func(*testing.T, *chanio.Service) {}},
		{"after Close", func(_ *testing.T, s *chanio.Service) { s.Close() }},
		{"after Shutdown", func(t *testing.T, s *chanio.Service) { require.NoError(t, s.Shutdown(t.Context())) }},
		{"after an error of Go", func(_ *testing.T, s *chanio.Service) {
			s.Go(func(context.Context) error { return errCause })
			<-s.Done()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withService(t, &chanio.Options{PostQueue: 1}, func(t *testing.T, s *chanio.Service) {
				for range 3 {
					ctx, done := s.Context(), s.Done()
					tc.end(t, s)
					require.NoError(t, s.Restart(t.Context()))
					<-done
					require.Error(t, ctx.Err())
					require.NotEqual(t, ctx, s.Context())
					require.NoError(t, s.Context().Err())
					require.NoError(t, s.Err())
					ran := make(chan context.Context)
					mustPost(t, s, func(ctx context.Context) { ran <- ctx })
					require.NoError(t, (<-ran).Err())
					synctest.Wait()
					select {
					case <-s.Done():
						t.Fatal("done")
					default:
					}
				}
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

func TestRestartWaitsForWhatRunsAndDropsWhatIsQueued(t *testing.T) {
	withService(t, &chanio.Options{PostQueue: 2}, func(t *testing.T, s *chanio.Service) {
		start := time.Now()
		mustPost(t, s, func(ctx context.Context) {
			<-ctx.Done()
			<-time.After(time.Minute)
		})
		s.Go(func(ctx context.Context) error {
			<-ctx.Done()
			<-time.After(time.Hour)
			return nil
		})
		synctest.Wait()
		mustPost(t, s, func(context.Context) { panic("it runs") })
		mustPost(t, s, func(context.Context) { panic("it runs") })
		require.NoError(t, s.Restart(t.Context()))
		require.Equal(t, time.Hour, time.Since(start))
		mustPost(t, s, func(context.Context) {})
		mustPost(t, s, func(context.Context) {})
		require.NoError(t, s.Shutdown(t.Context()))
	})
}

func TestRestartWhoseContextEndsLeavesTheServiceClosed(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.Restart(ended), context.Canceled)
		require.NoError(t, s.Context().Err(), "with an ended context it does nothing")

		release := occupy(t, s)
		bound, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, s.Restart(bound), context.DeadlineExceeded)
		require.ErrorIs(t, s.Post(func(context.Context) {}), chanio.ErrClosed)
		release()
		<-s.Done()
		require.NoError(t, s.Err())
		require.NoError(t, s.Restart(t.Context()))
	})
}

func TestRestartFromInsideStartsTheEndAndReturns(t *testing.T) {
	for name, run := range waysInside {
		t.Run(name, func(t *testing.T) {
			withService(t, nil, func(t *testing.T, s *chanio.Service) {
				first, done := s.Context(), s.Done()
				returned := make(chan error, 1)
				run(s, func(ctx context.Context) { returned <- s.Restart(ctx) })
				require.NoError(t, <-returned)
				<-done
				require.ErrorIs(t, context.Cause(first), chanio.ErrClosed)
				ran := make(chan struct{})
				mustPost(t, s, func(context.Context) { close(ran) })
				<-ran
				require.NoError(t, s.Err())
				require.NoError(t, s.Shutdown(t.Context()))
			})
		})
	}
}

func TestARestartThatGivesUpLeavesOneFromInsideInForce(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		release := make(chan struct{})
		mustPost(t, s, func(ctx context.Context) {
			assert.NoError(t, s.Restart(ctx))
			<-release
		})
		synctest.Wait()
		done := s.Done()
		bound, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, s.Restart(bound), context.DeadlineExceeded)
		close(release)
		<-done
		mustPost(t, s, func(context.Context) {})
	})
}

func TestCloseAfterARestartFromInsideEndsTheService(t *testing.T) {
	for _, end := range []struct {
		name string
		call func(ctx context.Context, s *chanio.Service) error
	}{
		{"Close", func(_ context.Context, s *chanio.Service) error { return s.Close() }},
		{"Shutdown", func(ctx context.Context, s *chanio.Service) error { return s.Shutdown(ctx) }},
	} {
		t.Run(end.name, func(t *testing.T) {
			withService(t, nil, func(t *testing.T, s *chanio.Service) {
				done := s.Done()
				mustPost(t, s, func(ctx context.Context) {
					assert.NoError(t, s.Restart(ctx))
					assert.NoError(t, end.call(ctx, s))
				})
				<-done
				require.ErrorIs(t, s.Post(func(context.Context) {}), chanio.ErrClosed)
				require.NoError(t, s.Err())
			})
		})
	}
}

func TestRestartAfterTheEndOfTheLifetimeIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		s := chanio.NewService(ctx, nil)
		cancel(errCause)
		err := s.Restart(t.Context())
		require.ErrorIs(t, err, errCause)
		require.EqualError(t, err, "chanio: restart service: the cause")
		require.Equal(t, errCause, s.Err())
	})
}
