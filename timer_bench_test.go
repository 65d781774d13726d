package chanio_test

import (
	"context"
	"testing"
	"time"

	"example.com/chanio"
)

// BenchmarkTimerReset: an armed timer is armed again, as for a timeout that
// every message postpones. The Canceled value of the earlier wait is included.
// Its twin is a time.Timer that is reset.
func BenchmarkTimerReset(b *testing.B) {
	b.Run("chanio", func(b *testing.B) {
		b.ReportAllocs()
		timer := chanio.NewTimer(b.Context())
		for b.Loop() {
			timer.Reset(time.Hour)
		}
	})
	b.Run("time", func(b *testing.B) {
		b.ReportAllocs()
		timer := time.NewTimer(time.Hour)
		for b.Loop() {
			timer.Reset(time.Hour)
		}
		timer.Stop()
	})
}

// BenchmarkTimerExpire: a timer is armed to expire at once and its value is
// received.
func BenchmarkTimerExpire(b *testing.B) {
	b.Run("chanio", func(b *testing.B) {
		b.ReportAllocs()
		timer := chanio.NewTimer(b.Context())
		for b.Loop() {
			timer.Reset(0)
			<-timer.C()
		}
	})
	b.Run("time", func(b *testing.B) {
		b.ReportAllocs()
		timer := time.NewTimer(time.Hour)
		for b.Loop() {
			timer.Reset(0)
			<-timer.C
		}
	})
}

// BenchmarkTimerNew: a timer is made, armed, and ended with its context. B/op
// is the memory of an armed timer, a context of its own included.
func BenchmarkTimerNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		timer := chanio.NewTimer(ctx)
		timer.Reset(time.Hour)
		cancel()
		for range timer.C() {
		}
	}
}
