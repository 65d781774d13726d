package chanio

import (
	"context"
	"fmt"
)

// A hubFlush is a call of Flush that waits for members.
type hubFlush struct {
	left int           // members still to write, plus one while they are being counted
	done chan struct{} // closed when none is left
}

// A flushMark is how much a member must write for a Flush.
type flushMark struct {
	next  *flushMark // of the same member, of a later Flush
	flush *hubFlush
	aim   int64
}

// Flush waits until every member has written what was published before the
// call; members that end are skipped. It returns ctx's error if ctx ends first,
// and an error that is ErrClosed if the hub ended before the call. What was
// sent on Send counts once the hub has received it.
func (h *Hub) Flush(ctx context.Context) error {
	if h.ended() {
		return fmt.Errorf("chanio: flush of a hub: %w", ErrClosed)
	}
	return h.flush(ctx)
}

// flush is Flush for a hub that may have ended: members that left may still be
// writing.
func (h *Hub) flush(ctx context.Context) error {
	flush := &hubFlush{left: 1, done: make(chan struct{})}
	h.mu.Lock()
	for f := range h.feeds {
		for _, m := range f.places {
			m.mark(flush)
		}
	}
	flush.left--
	left := flush.left
	h.mu.Unlock()
	if left == 0 {
		return nil
	}
	select {
	case <-flush.done:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.feeds {
		for _, m := range f.places {
			m.unmark(flush)
		}
	}
	return ctx.Err()
}

// mark makes flush wait until m has written everything due to it by now, unless
// it already has. The caller holds the hub's mu, as for the functions below.
func (m *member) mark(flush *hubFlush) {
	aim := m.aim()
	if m.written.Load() >= aim {
		return
	}
	w := m.waiting()
	p := &w.marks
	for *p != nil {
		p = &(*p).next
	}
	*p = &flushMark{flush: flush, aim: aim}
	flush.left++
	w.mark.Store(w.marks.aim)
	m.account() // it may have caught up meanwhile without seeing the mark
}

// unmark removes flush, which has given up, from the marks of m.
func (m *member) unmark(flush *hubFlush) {
	w := m.waits.Load()
	if w == nil {
		return
	}
	for p := &w.marks; *p != nil; {
		if (*p).flush == flush {
			*p = (*p).next
		} else {
			p = &(*p).next
		}
	}
	w.credit(m.written.Load())
}

// account tells the waiting Flushes how much m has written.
func (m *member) account() {
	if w := m.waits.Load(); w != nil {
		w.credit(m.written.Load())
	}
}

// forgive tells them to stop waiting for m.
func (m *member) forgive() {
	if w := m.waits.Load(); w != nil {
		w.credit(never)
	}
}

func (w *memberWaits) credit(written int64) {
	for w.marks != nil && w.marks.aim <= written {
		flush := w.marks.flush
		w.marks = w.marks.next
		if flush.left--; flush.left == 0 {
			close(flush.done)
		}
	}
	if w.marks == nil {
		w.mark.Store(never)
	} else {
		w.mark.Store(w.marks.aim)
	}
}
