package chanio

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"sync/atomic"
)

// What follows tells whether a call comes from a function that a service runs.
// Such a call must not wait for the service's end, of which the function's own
// return is a part.

// inside reports whether a call with ctx, on the goroutine with that number,
// comes from a function that r runs. The context tells for functions that it
// was handed to, and for the helpers that they wait for; the number tells for
// functions that pass another context. The caller holds the service's mu.
func (s *Service) inside(ctx context.Context, goroutine uint64) bool {
	if ctx.Value(insideKey{s}) != nil {
		return true
	}
	_, ok := s.run.goroutines[goroutine]
	return ok
}

// A runContext is what the functions of a run are handed, or a part of it.
type runContext struct {
	context.Context
	service *Service
}

// An insideKey finds the runContext of that service, however deep it is in the
// contexts of other services' functions.
type insideKey struct{ service *Service }

func (c *runContext) Value(key any) any {
	if key == (insideKey{c.service}) {
		return c
	}
	return c.Context.Value(key)
}

// A callContext is what one posted function is handed, so that Dispatch knows
// it. Each call has its own: one that was kept is never taken for that of a
// later call.
type callContext struct {
	*runContext
	returned atomic.Bool
}

// callKey finds the innermost callContext: Dispatch runs a function on that
// one's goroutine only.
type callKey struct{}

func (c *callContext) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.runContext.Value(key)
}

// goroutineID returns the number that the runtime gives the calling goroutine in
// stack traces, which is never used again, or 0 if it cannot be read. It takes a
// microsecond, so Dispatch goes by the context alone.
func goroutineID() uint64 {
	var buf [64]byte
	trace := buf[:runtime.Stack(buf[:], false)]
	number, _, _ := bytes.Cut(bytes.TrimPrefix(trace, []byte("goroutine ")), []byte(" "))
	id, _ := strconv.ParseUint(string(number), 10, 64)
	return id
}
