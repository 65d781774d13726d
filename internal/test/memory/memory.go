// Package memory measures memory for tests. Only tests import it.
package memory

import "runtime"

// Live returns how many bytes of the heap are reachable. It collects twice: a
// sync.Pool gives up its content in the second collection.
func Live() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
