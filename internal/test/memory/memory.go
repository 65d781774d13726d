// Package memory measures memory for tests. Only tests import it.
package memory

import (
	"runtime"
	"testing"
	"time"
)

// Live returns how many bytes of the heap are reachable. It collects twice: a
// sync.Pool gives up its content in the second collection.
func Live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// AwaitCollected collects until the cleanups of n objects have sent to gone. One
// collection is not enough: a goroutine may still have an object on its stack.
func AwaitCollected(t testing.TB, gone <-chan struct{}, n int) {
	t.Helper()
	tooLong := time.After(30 * time.Second)
	for n > 0 {
		runtime.GC()
		select {
		case <-gone:
			n--
		case <-time.After(time.Millisecond):
		case <-tooLong:
			t.Fatalf("something keeps %d objects", n)
		}
	}
}
