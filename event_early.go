package chanio

import (
	"time"
	"weak"
)

// earlyEvents are events that have not been asked for yet, oldest first, in a
// ring. A queue that forgets does not keep ended sessions alive: their events
// are dropped before the ring grows, and along with the session if nothing else
// holds it.
type earlyEvents struct {
	ring     []earlyEvent // n of them are in use, from first on
	first, n int32
}

// An earlyEvent is half the size of its Event: most have neither Err nor Count.
type earlyEvent struct {
	stamp   int64                 // its time, in ticks since 1970; its kind is in the lowest kindBits
	session weak.Pointer[Session] // zero if there is none
	rest    *eventRest            // nil if it has neither and keeps no session
}

type eventRest struct {
	err   error
	count int
	keeps *Session // nil if the queue forgets
}

const (
	// kindBits is how many bits an EventKind takes.
	kindBits = 4
	// tick is the precision of the time. Nanoseconds would leave no room for
	// the kind.
	tick = 100 * time.Nanosecond
	// fewEvents is how many events are kept without checking what they are
	// about.
	fewEvents = 8
)

// add adds e, replacing the oldest if there are limit events. Before the ring
// grows, events of ended sessions are dropped. It returns how many were
// dropped.
func (r *earlyEvents) add(e Event, limit int, forgets bool) (dropped int64) {
	if forgets && int(r.n) == len(r.ring) && len(r.ring) >= fewEvents {
		dropped = r.prune()
	}
	if int(r.n) == len(r.ring) {
		if len(r.ring) == limit {
			r.ring[r.first] = early(e, forgets)
			r.first = (r.first + 1) % int32(limit)
			return dropped + 1
		}
		r.resize(min(limit, max(fewEvents/2, 2*len(r.ring))))
	}
	r.ring[r.index(r.n)] = early(e, forgets)
	r.n++
	return dropped
}

// prune drops the events of ended sessions. It is called when the ring is full:
// for every event once a queue has reached its limit, so it allocates nothing.
// Unless at least a quarter would go, it drops nothing, so that moving the others
// is rare.
func (r *earlyEvents) prune() (dropped int64) {
	live := 0
	for e := range r.all {
		if !e.ended() {
			live++
		}
	}
	if live > len(r.ring)*3/4 {
		return 0
	}
	before := r.n
	r.n = 0
	for i := range before {
		at := r.index(i)
		e := r.ring[at]
		r.ring[at] = earlyEvent{}
		if !e.ended() {
			r.ring[r.index(r.n)] = e // at or before what is being read
			r.n++
		}
	}
	return int64(before - r.n)
}

// index returns where in the ring event i is, or would be.
func (r *earlyEvents) index(i int32) int { return int(r.first+i) % len(r.ring) }

// resize moves the events to a ring of size n.
func (r *earlyEvents) resize(n int) {
	ring := make([]earlyEvent, 0, n)
	for e := range r.all {
		ring = append(ring, e)
	}
	r.ring, r.first = ring[:n], 0
}

// all iterates over the events, oldest first.
func (r *earlyEvents) all(yield func(earlyEvent) bool) {
	for i := range r.n {
		if !yield(r.ring[r.index(i)]) {
			return
		}
	}
}

// early returns e in its small form.
func early(e Event, forgets bool) earlyEvent {
	small := earlyEvent{stamp: e.Time.UnixNano()/int64(tick)<<kindBits | int64(e.Kind)}
	if e.Session != nil && forgets {
		small.session = weak.Make(e.Session)
	}
	if e.Err != nil || e.Count != 0 || !forgets && e.Session != nil {
		small.rest = &eventRest{err: e.Err, count: e.Count}
	}
	if !forgets && e.Session != nil {
		small.rest.keeps = e.Session
	}
	return small
}

// event returns the event, or false if its session has been garbage-collected.
func (e earlyEvent) event() (Event, bool) {
	event := Event{
		Kind:    EventKind(e.stamp & (1<<kindBits - 1)),
		Time:    time.Unix(0, e.stamp>>kindBits*int64(tick)),
		Session: e.session.Value(),
	}
	if e.rest != nil {
		event.Err, event.Count = e.rest.err, e.rest.count
		if e.rest.keeps != nil {
			event.Session = e.rest.keeps
		}
	}
	return event, event.Session != nil || e.session == (weak.Pointer[Session]{})
}

// ended reports whether the event is of a session that has ended.
func (e earlyEvent) ended() bool {
	if e.session == (weak.Pointer[Session]{}) {
		return false
	}
	s := e.session.Value()
	return s == nil || s.over()
}
