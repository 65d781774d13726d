package chanio

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// reserveSize is what the reserve adds to the live heap.
	reserveSize = 12 << 20
	// reserveLimit is the least GOMEMLIMIT of a program that can spare it.
	reserveLimit = 32 * reserveSize
	// reserveTraffic is how many bytes of slabs a collection must find for reading
	// to be what brought it about.
	reserveTraffic = 1 << 20
	// Collections that follow each other within reserveBelow make it, and it goes
	// when they are reserveAbove apart.
	reserveBelow = 100 * time.Millisecond
	reserveAbove = time.Second
)

// A reserve is heap that nobody uses, held while streams are read fast.
//
// What is read belongs to whoever receives it, for good, so that reading makes
// garbage as fast as it reads, and Go's collector starts whenever the heap has
// grown by as much as it holds (https://go.dev/doc/gc-guide#GOGC): every few
// megabytes in a server that holds little, hundreds of times a second. Each of
// these collections stops all goroutines and scans all stacks, and the small heap
// between them makes the scavenger return pages that are needed again at once. With
// the reserve counted as held the collections are as far apart as in a larger
// program. Its pages are never touched, since a strings.Builder, unlike make, does
// not clear what it takes: it takes addresses and no memory, but for what the heap
// may grow by before a collection.
//
// The runtime tells of each collection by the cleanup of an object that nobody
// holds; such a mark is out only while slabs are taken.
type reserve struct {
	bytes  atomic.Int64 // of slabs taken since the last collection
	marked atomic.Bool  // a mark is out

	mu   sync.Mutex
	held strings.Builder
	last time.Time // when the last collection was, if it was the mark before that told
}

// took notes that n bytes of new slabs were taken.
func (r *reserve) took(n int64) {
	r.bytes.Add(n)
	if !r.marked.Load() && r.marked.CompareAndSwap(false, true) {
		r.mark()
	}
}

// A collectionMark has a pointer, since the cleanups of tiny objects may never run.
type collectionMark struct{ _ *byte }

// mark makes the next collection call collected.
func (r *reserve) mark() {
	runtime.AddCleanup(&collectionMark{}, (*reserve).collected, r)
}

// collected runs after a collection, on a goroutine of the runtime's.
func (r *reserve) collected() {
	if r.judge(time.Now(), r.bytes.Swap(0), debug.SetMemoryLimit(-1)) {
		r.mark()
	} else {
		r.marked.Store(false)
	}
}

// judge makes the reserve or lets it go, after a collection at now that found so
// many bytes of slabs, in a program that may take limit bytes. It reports whether
// it wants to know of the next collection.
func (r *reserve) judge(now time.Time, bytes, limit int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := !r.last.IsZero()
	apart := now.Sub(r.last)
	r.last = now
	switch {
	case bytes < reserveTraffic, limit < reserveLimit, known && apart > reserveAbove:
		r.held.Reset()
	case known && apart < reserveBelow && r.held.Cap() == 0:
		r.held.Grow(reserveSize)
	}
	if bytes == 0 {
		r.last = time.Time{}
	}
	return bytes > 0
}
