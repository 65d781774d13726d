package chanio

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
)

// The code below tells whether a call comes from a function that a service
// runs. Such a call must not wait for the service's end, which waits for the
// function.

// inside reports whether a call with ctx, on the goroutine with that number,
// comes from a function that r runs. The context identifies functions that pass
// it on, and the helpers that they wait for. The number identifies functions
// that pass another context. The caller holds the service's mu.
func (s *Service) inside(ctx context.Context, goroutine uint64) bool {
	if ctx.Value(insideKey{s}) != nil {
		return true
	}
	_, ok := s.run.goroutines[goroutine]
	return ok
}

// A runContext is the context that the functions of a run receive, or part of
// it.
type runContext struct {
	context.Context
	service *Service
}

// An insideKey finds the runContext of its service, however deep it is in the
// contexts of other services' functions.
type insideKey struct{ service *Service }

func (c *runContext) Value(key any) any {
	if key == (insideKey{c.service}) {
		return c
	}
	return c.Context.Value(key)
}

// A callContext is the context that one posted function receives and by which
// Dispatch recognizes it. Each call has its own, so one that was kept is never
// mistaken for a later call's.
type callContext struct {
	*runContext
	returned atomic.Bool
}

// callKey finds the innermost callContext: Dispatch runs a function only on
// that one's goroutine.
type callKey struct{}

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.runContext.Value(key)
}

// goroutineID returns the number of the calling goroutine in stack traces,
// which the runtime never reuses, or 0 if it cannot be read. Reading it takes a
// microsecond, so Dispatch relies on the context alone.
func goroutineID() uint64 {
	var buf [64]byte
	trace := buf[:runtime.Stack(buf[:], false)]
	number, _, _ := bytes.Cut(bytes.TrimPrefix(trace, []byte("goroutine ")), []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
