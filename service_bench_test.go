package chanio_test

import (
	"context"
	"testing"

	"example.com/chanio"
)

// Each benchmark of the service has a twin that does the same over a bare
// channel of functions, which a program would use without a service. Both have
// room for the same number of functions.

const benchQueue = 65536

// burst is how many functions are posted before the poster waits for them.
const burst = 1024

// executor is what a benchmark posts to. It is a function so that the call
// costs both the same.
type executor func(fn func(ctx context.Context))

func benchService(b *testing.B) (*chanio.Service, executor) {
	s := chanio.NewService(b.Context(), &chanio.Options{PostQueue: benchQueue})
	b.Cleanup(func() {
		s.Close()
		<-s.Done()
	})
	return s, func(fn func(ctx context.Context)) {
		if err := s.Post(fn); err != nil {
			b.Error(err)
		}
	}
}

func benchChannel(b *testing.B) executor {
	fns := make(chan func(ctx context.Context), benchQueue)
	done := make(chan struct{})
	ctx := b.Context()
	go func() {
		defer close(done)
		for fn := range fns {
			fn(ctx)
		}
	}()
	b.Cleanup(func() {
		close(fns)
		<-done
	})
	return func(fn func(ctx context.Context)) { fns <- fn }
}

// BenchmarkPost: a function is queued and run, one of a burst.
func BenchmarkPost(b *testing.B) {
	_, service := benchService(b)
	b.Run("service", func(b *testing.B) { benchmarkBursts(b, service) })
	b.Run("channel", func(b *testing.B) { benchmarkBursts(b, benchChannel(b)) })
}

func benchmarkBursts(b *testing.B, post executor) {
	b.ReportAllocs()
	ran := 0
	work := func(context.Context) { ran++ }
	reached := make(chan struct{})
	mark := func(context.Context) { reached <- struct{}{} }
	posted := 0
	for b.Loop() {
		post(work)
		if posted++; posted%burst == 0 {
			post(mark)
			<-reached
		}
	}
	post(mark)
	<-reached
	if ran != posted {
		b.Fatalf("ran %d of %d", ran, posted)
	}
}

// BenchmarkPostAndWait: one function at a time, and the poster waits for it.
func BenchmarkPostAndWait(b *testing.B) {
	run := func(b *testing.B, post executor) {
		b.ReportAllocs()
		reached := make(chan struct{})
		mark := func(context.Context) { reached <- struct{}{} }
		for b.Loop() {
			post(mark)
			<-reached
		}
	}
	_, service := benchService(b)
	b.Run("service", func(b *testing.B) { run(b, service) })
	b.Run("channel", func(b *testing.B) { run(b, benchChannel(b)) })
}

// BenchmarkPostParallel: several goroutines post at once.
func BenchmarkPostParallel(b *testing.B) {
	run := func(b *testing.B, post executor) {
		b.ReportAllocs()
		ran := 0
		work := func(context.Context) { ran++ }
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			reached := make(chan struct{})
			mark := func(context.Context) { reached <- struct{}{} }
			for posted := 1; pb.Next(); posted++ {
				post(work)
				if posted%burst == 0 {
					post(mark)
					<-reached
				}
			}
			post(mark)
			<-reached
		})
	}
	_, service := benchService(b)
	b.Run("service", func(b *testing.B) { run(b, service) })
	b.Run("channel", func(b *testing.B) { run(b, benchChannel(b)) })
}

// BenchmarkDispatch: inside is a call that runs at once. outside is a Post that
// looks at its context first, in bursts like BenchmarkPost's, whose channel is
// the baseline for both.
func BenchmarkDispatch(b *testing.B) {
	s, _ := benchService(b)
	b.Run("inside", func(b *testing.B) {
		b.ReportAllocs()
		done := make(chan struct{})
		ran := 0
		work := func(context.Context) { ran++ }
		_ = s.Post(func(ctx context.Context) {
			defer close(done)
			for b.Loop() {
				_ = s.Dispatch(ctx, work)
			}
		})
		<-done
	})
	b.Run("outside", func(b *testing.B) {
		ctx := b.Context()
		benchmarkBursts(b, func(fn func(ctx context.Context)) {
			if err := s.Dispatch(ctx, fn); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("channel", func(b *testing.B) { benchmarkBursts(b, benchChannel(b)) })
}
