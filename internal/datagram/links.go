package datagram

import (
	"os"
	"sync"
	"time"
)

// lookInterval is how often interfaces are looked at where the system does not tell of
// changes, and while one is away.
const lookInterval = time.Second

// A LinkWatch tells when interfaces may have come or gone.
type LinkWatch struct {
	changes *os.File      // has something to read then; nil where there is no such thing
	quit    chan struct{} // closed by Close
	close   sync.Once
}

// WatchLinks starts a watch over the interfaces of the caller's network namespace.
func WatchLinks() *LinkWatch {
	return &LinkWatch{changes: linkChanges(), quit: make(chan struct{})}
}

// Wait waits until an interface may have come or gone, or, if one is away, for
// lookInterval at most. It reports whether the watch goes on.
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

// readChanges reads what has changed, and reports whether that can be read.
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
