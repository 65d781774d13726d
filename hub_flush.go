package chanio

import (
	"context"
	"fmt"
)

// A hubFlush is a call of Flush that waits for members.
type hubFlush struct {
	next   *hubFlush     // in the hub's list
	target int64         // what they must have written
	left   int           // how many have not
	done   chan struct{} // closed when none is left
}

// Flush waits until every member has written what was published before it, and
// returns nil; members that end are skipped. It returns ctx's error when ctx
// ends first, and an error that is ErrClosed if the hub has ended before it.
// What was sent by Send counts once the hub has received it.
func (h *Hub) Flush(ctx context.Context) error {
	if h.ended() {
		return fmt.Errorf("chanio: flush of a hub: %w", ErrClosed)
	}
	return h.flush(ctx)
}

// flush is Flush of a hub that may have ended: who has left may still write.
func (h *Hub) flush(ctx context.Context) error {
	f := &hubFlush{done: make(chan struct{})}
	h.flushing.Add(1)
	defer h.flushing.Add(-1)
	h.mu.Lock()
	f.target = h.log.Head().Weight
	for _, m := range h.places {
		h.account(m)
		if m.credit < h.aim(m, f.target) {
			f.left++
		}
	}
	if f.left == 0 {
		h.mu.Unlock()
		return nil
	}
	w := h.waiting()
	f.next, w.flushes = w.flushes, f
	h.mu.Unlock()

	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endFlush(f)
	return ctx.Err()
}

// aim returns how much of what a Flush waits for m is to get.
func (h *Hub) aim(m *member, target int64) int64 { return min(target, m.end) }

// account tells the waiting Flushes what m has written. The caller holds mu.
func (h *Hub) account(m *member) {
	if m.gone {
		return
	}
	before := m.credit
	m.credit = m.written.Load()
	h.creditFlushes(m, before, m.credit)
}

// uncredit tells them not to wait for m any more. The caller holds mu.
func (h *Hub) uncredit(m *member) { h.creditFlushes(m, m.credit, farAway) }

func (h *Hub) creditFlushes(m *member, before, now int64) {
	if h.waits == nil {
		return
	}
	for p := &h.waits.flushes; *p != nil; {
		f := *p
		if aim := h.aim(m, f.target); before < aim && aim <= now {
			f.left--
		}
		if f.left > 0 {
			p = &f.next
			continue
		}
		*p = f.next
		close(f.done)
	}
}

// endFlush takes f out of those that wait. The caller holds mu.
func (h *Hub) endFlush(f *hubFlush) {
	for p := &h.waits.flushes; *p != nil; p = &(*p).next {
		if *p == f {
			*p = f.next
			return
		}
	}
}
