package datagram

import (
	"os"
	"sync"
	"time"
)

// lookInterval is how often interfaces are polled if the system does not report
// changes, and while one is gone.
const lookInterval = time.Second

// A LinkWatch reports when interfaces may have come or gone.
type LinkWatch struct {
	changes *os.File      // readable when something changed; nil if not available
	quit    chan struct{} // closed by Close
	close   sync.Once
}

// WatchLinks starts watching the interfaces of the caller's network namespace.
func WatchLinks() *LinkWatch {
	return &LinkWatch{changes: linkChanges(), quit: make(chan struct{})}
}

// Wait waits until an interface may have come or gone; if one is away, for at
// most lookInterval. It reports whether the watch goes on.
func (w *LinkWatch) Wait(away bool) bool {
	if w.changes != nil && w.readChanges(away) {
		return !w.closed()
	}
	timer := time.NewTimer(lookInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.quit:
		return false
	}
}

// readChanges waits for a change, and reports whether changes can be read.
func (w *LinkWatch) readChanges(away bool) bool {
	var limit time.Time
	if away {
		limit = time.Now().Add(lookInterval)
	}
	if err := w.changes.SetReadDeadline(limit); err != nil {
		return w.closed()
	}
	var buf [4096]byte
	_, err := w.changes.Read(buf[:])
	return err == nil || os.IsTimeout(err) || changesLost(err) || w.closed()
}

func (w *LinkWatch) closed() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}

// Close ends the watch.
func (w *LinkWatch) Close() {
	w.close.Do(func() {
		close(w.quit)
		if w.changes != nil {
			w.changes.Close()
		}
	})
}
