package chanio_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// withService runs test in a synctest bubble with a service that has ended,
// with all its goroutines, when the bubble does.
func withService(t *testing.T, o *chanio.Options, test func(t *testing.T, s *chanio.Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := chanio.NewService(t.Context(), o)
		t.Cleanup(func() {
			s.Close()
			<-s.Done()
		})
		test(t, s)
	})
}

// mustPost posts fn.
func mustPost(t *testing.T, s *chanio.Service, fn func(ctx context.Context)) {
	t.Helper()
	require.NoError(t, s.Post(fn))
}

// occupy has s run a function that returns when release is called.
func occupy(t *testing.T, s *chanio.Service) (release func()) {
	t.Helper()
	released := make(chan struct{})
	mustPost(t, s, func(context.Context) { <-released })
	synctest.Wait()
	return sync.OnceFunc(func() { close(released) })
}

// contextOf returns the context of a function that s has run.
func contextOf(t *testing.T, s *chanio.Service) context.Context {
	t.Helper()
	given := make(chan context.Context, 1)
	mustPost(t, s, func(ctx context.Context) { given <- ctx })
	ctx := <-given
	synctest.Wait() // the function has returned
	return ctx
}

func TestPostedFunctionsRunOneAtATimeInOrder(t *testing.T) {
	for _, tc := range []struct {
		name  string
		queue int
	}{
		{"one function held", 1},
		{"three functions held", 3},
		{"the default number", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withService(t, &chanio.Options{PostQueue: tc.queue}, func(t *testing.T, s *chanio.Service) {
				const posters, each = 4, 500
				var ran [posters][]int // only posted functions touch it, so the race detector watches
				var wg sync.WaitGroup
				for p := range posters {
					wg.Go(func() {
						for i := range each {
							room := make(chan struct{})
							fn := func(context.Context) {
								ran[p] = append(ran[p], i)
								close(room)
							}
							for errors.Is(s.Post(fn), chanio.ErrFull) {
								<-time.After(time.Microsecond) // the bubble's: when all else is blocked
							}
							if i%7 == 0 {
								<-room
							}
						}
					})
				}
				wg.Wait()
				require.NoError(t, s.Shutdown(t.Context()))
				for p := range posters {
					require.Len(t, ran[p], each)
					require.IsIncreasing(t, ran[p])
				}
			})
		})
	}
}

func TestPostQueuesEvenFromInside(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		var order []string
		add := func(what string) func(context.Context) {
			return func(context.Context) { order = append(order, what) }
		}
		release := occupy(t, s)
		mustPost(t, s, func(context.Context) {
			_ = s.Post(add("posted from inside"))
			order = append(order, "first")
		})
		mustPost(t, s, add("second"))
		release()
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, []string{"first", "second", "posted from inside"}, order)
	})
}

// The panic ends the process, so a child runs it. The child's exit status would
// be 0 if the panic were recovered, or if the service were done before it came
// out.
func TestAPanicIsNotRecovered(t *testing.T) {
	const env = "CHANIO_TEST_PANIC"
	cases := []struct {
		name string
		have func(s *chanio.Service)
	}{
		{"posted", func(s *chanio.Service) {
			_ = s.Post(func(context.Context) { panic("boom") })
		}},
		{"dispatched", func(s *chanio.Service) {
			_ = s.Post(func(ctx context.Context) {
				_ = s.Dispatch(ctx, func(context.Context) { panic("boom") })
			})
		}},
		{"go", func(s *chanio.Service) {
			s.Go(func(context.Context) error { panic("boom") })
		}},
	}
	for _, tc := range cases {
		if os.Getenv(env) == tc.name {
			s := chanio.NewService(context.Background(), nil)
			tc.have(s)
			if tc.name == "go" {
				select {} // its goroutine may start after any Shutdown
			}
			_ = s.Shutdown(context.Background())
			os.Exit(0)
		}
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()[:len("TestAPanicIsNotRecovered")]+"$")
			child.Env = append(os.Environ(), env+"="+tc.name)
			var output bytes.Buffer
			child.Stdout, child.Stderr = &output, &output
			err := child.Run()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", &output)
			require.Equal(t, 2, exit.ExitCode())
			require.Contains(t, output.String(), "panic: boom\n")
			require.Contains(t, output.String(), "TestAPanicIsNotRecovered.func", "the trace names the function")
		})
	}
}

func TestPostIsErrFullPastPostQueue(t *testing.T) {
	for _, tc := range []struct {
		name  string
		queue int
		want  int
	}{
		{"of 1", 1, 1},
		{"of 2", 2, 2},
		{"of 100", 100, 100},
		{"of the default", 0, 65536},
	} {
		t.Run(tc.name, func(t *testing.T) {
			withService(t, &chanio.Options{PostQueue: tc.queue}, func(t *testing.T, s *chanio.Service) {
				release := occupy(t, s)
				ran := 0
				count := func(context.Context) { ran++ }
				for range tc.want {
					if err := s.Post(count); err != nil {
						t.Fatal(err)
					}
				}
				err := s.Post(count)
				require.ErrorIs(t, err, chanio.ErrFull)
				require.EqualError(t, err, "chanio: post service: queue full")
				require.ErrorIs(t, s.Dispatch(t.Context(), count), chanio.ErrFull)
				release()
				require.NoError(t, s.Shutdown(t.Context()))
				require.Equal(t, tc.want, ran)
			})
		})
	}
}

func TestEachFunctionThatBeginsMakesRoomForOne(t *testing.T) {
	withService(t, &chanio.Options{PostQueue: 3}, func(t *testing.T, s *chanio.Service) {
		begin := make(chan struct{})
		step := func(context.Context) { <-begin }
		for range 10 { // the next one has begun each time
			for s.Post(step) == nil {
				synctest.Wait()
			}
			begin <- struct{}{}
			synctest.Wait()
			mustPost(t, s, step)
			require.ErrorIs(t, s.Post(step), chanio.ErrFull)
		}
		close(begin)
	})
}

func TestNilFunctionsAreErrors(t *testing.T) {
	withService(t, nil, func(t *testing.T, s *chanio.Service) {
		require.EqualError(t, s.Post(nil), "chanio: post service: nil function")
		require.Error(t, s.Dispatch(t.Context(), nil))
		mustPost(t, s, func(ctx context.Context) {
			if s.Dispatch(ctx, nil) == nil {
				panic("an inner Dispatch of nil was accepted")
			}
		})
		s.Go(nil)
		<-s.Done()
		require.EqualError(t, s.Err(), "chanio: go service: nil function")
	})
}

func TestServiceIsSafeForConcurrentUse(t *testing.T) {
	withService(t, &chanio.Options{PostQueue: 8}, func(t *testing.T, s *chanio.Service) {
		unlocked := 0 // the race detector tells if functions run beside each other
		var users sync.WaitGroup
		for range 4 {
			users.Go(func() {
				for i := range 300 {
					_ = s.Post(func(ctx context.Context) {
						unlocked++
						_ = s.Dispatch(ctx, func(context.Context) { unlocked++ })
					})
					_ = s.Dispatch(s.Context(), func(context.Context) { unlocked++ })
					s.Go(func(ctx context.Context) error {
						return s.Dispatch(ctx, func(context.Context) { unlocked++ })
					})
					switch i % 30 {
					case 10:
						_ = s.Restart(t.Context())
					case 20:
						_ = s.Shutdown(t.Context())
					case 25:
						_ = s.Close()
						<-s.Done()
						_ = s.Err()
					}
				}
			})
		}
		users.Wait()
		for s.Restart(t.Context()) != nil {
		}
		mustPost(t, s, func(context.Context) { unlocked = -1 })
		require.NoError(t, s.Shutdown(t.Context()))
		require.Equal(t, -1, unlocked)
	})
}

func TestAListenerAClientAndATimerLiveAsLongAsTheirService(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, s *chanio.Service, cancel context.CancelCauseFunc)
		want error // their Err
	}{
		{"until Close", func(_ *testing.T, s *chanio.Service, _ context.CancelCauseFunc) { s.Close() }, chanio.ErrClosed},
		{"until Shutdown", func(t *testing.T, s *chanio.Service, _ context.CancelCauseFunc) {
			require.NoError(t, s.Shutdown(t.Context()))
		}, chanio.ErrClosed},
		{"until Restart", func(t *testing.T, s *chanio.Service, _ context.CancelCauseFunc) {
			require.NoError(t, s.Restart(t.Context()))
		}, chanio.ErrClosed},
		{"until the first error of Go", func(_ *testing.T, s *chanio.Service, _ context.CancelCauseFunc) {
			s.Go(func(context.Context) error { return errCause })
		}, errCause},
		{"until the end of its context", func(_ *testing.T, _ *chanio.Service, cancel context.CancelCauseFunc) {
			cancel(errCause)
		}, errCause},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := chanio.NewService(ctx, nil)
			l, err := chanio.Listen(s.Context(), "tcp", "127.0.0.1:0", nil)
			require.NoError(t, err)
			c := chanio.Connect(s.Context(), "tcp", l.Addr().String(), nil)
			timer := chanio.NewTimer(s.Context())
			timer.Every(time.Hour)

			accepted, dialed := <-l.Sessions(), <-c.Sessions()
			received := make(chan []byte, 1)
			mustPost(t, s, func(context.Context) { _ = dialed.Put([]byte("hello")) })
			s.Go(func(context.Context) error { received <- <-accepted.Recv(); return nil })
			require.Equal(t, "hello", string(<-received))

			tc.end(t, s, cancel)
			for _, done := range []<-chan struct{}{l.Done(), c.Done(), accepted.Done(), dialed.Done()} {
				<-done
			}
			require.Equal(t, tc.want, l.Err())
			require.Equal(t, tc.want, c.Err())
			require.True(t, (<-timer.C()).Canceled)
			_, open := <-timer.C()
			require.False(t, open)
			s.Close()
			<-s.Done()
		})
	}
}
