package chanio

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// An Event tells what happened to a listener, client, hub or packet endpoint.
// Events are for observing: they can be lost, so clean up on [Session.Done].
type Event struct {
	Kind    EventKind
	Time    time.Time
	Session *Session // whose event it is; nil if it is of no session
	Err     error    // what failed, or why the session or its owner ended; nil after a clean end
	Count   int      // EventLagged: how many messages were skipped
}

// EventKind says what an [Event] is about.
type EventKind int

const (
	// EventStarted: a listener or packet endpoint is bound, again after
	// Restart; a client or hub has begun.
	EventStarted EventKind = iota + 1
	// EventConnected: a session is connected, with TLS after its handshake. It
	// is the session's first event.
	EventConnected
	// EventHandshaked: a session's TLS handshake was successful.
	EventHandshaked
	// EventDisconnected: a session has ended; Err is its Err. It is the
	// session's last event.
	EventDisconnected
	// EventLagged: a hub's member skipped Count messages (LagDrop), or ended
	// for being behind (Err is ErrLagged).
	EventLagged
	// EventJoined: a session has joined a hub.
	EventJoined
	// EventLeft: a session has left a hub.
	EventLeft
	// EventFailed: something failed that ended nothing but itself: an accept, a
	// handshake, a dial, a datagram sent.
	EventFailed
	// EventStopped: the owner has ended; Err is its Err. It is the last event.
	EventStopped
)

var eventNames = [...]string{"", "started", "connected", "handshaked", "disconnected", "lagged", "joined", "left", "failed", "stopped"}

// String returns the kind's name in lower case.
func (k EventKind) String() string {
	if k <= 0 || int(k) >= len(eventNames) {
		return fmt.Sprintf("EventKind(%d)", int(k))
	}
	return eventNames[k]
}

// eventQueue is the sending side of an Events channel: it never blocks, holds
// at most limit events, and lets the oldest go for a newer one.
//
// The channel's buffer is allocated by the first call of channel: until then,
// and forever where nobody asks for it (ten thousand rooms), events wait in a
// ring that holds little more than what concerns sessions that live.
type eventQueue struct {
	log *slog.Logger

	mu      sync.Mutex
	ch      chan Event  // nil until somebody asked for it
	early   earlyEvents // what was emitted before
	dropped int64
	limit   int32 // it is maxQueue at most
	closed  bool
	forgets bool // early holds no session that has ended: there may be many queues
}

func newEventQueue(set *settings) *eventQueue {
	return &eventQueue{limit: int32(set.EventQueue), log: set.Logger}
}

// channel returns the channel that events are received from.
func (q *eventQueue) channel() <-chan Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ch == nil {
		q.ch = make(chan Event, q.limit)
		for e := range q.early.all {
			if event, ok := e.event(); ok {
				q.ch <- event // never blocks: early is no longer than the buffer
			} else {
				q.dropped++
			}
		}
		q.early = earlyEvents{}
		if q.closed {
			close(q.ch)
		}
	}
	return q.ch
}

// emit stamps e, queues it and reports it.
func (q *eventQueue) emit(e Event) { q.report(q.queue(e)) }

// queue stamps e, queues it, and returns it for report. It is for callers that
// hold a lock, to keep events in the order of what they tell.
func (q *eventQueue) queue(e Event) Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.Time = time.Now()
	q.add(e)
	return e
}

// add is queue for those who hold mu.
func (q *eventQueue) add(e Event) {
	switch {
	case q.closed:
	case q.ch != nil:
		q.push(e)
	case q.limit == 0:
		q.dropped++
	default:
		q.dropped += q.early.add(e, int(q.limit), q.forgets)
	}
}

// lose counts events that were not even queued.
func (q *eventQueue) lose(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += int64(n)
}

// push sends e on the channel, in the place of the oldest if there is no room.
// Receivers may take events meanwhile, but mu keeps other senders away, so the
// loop ends.
func (q *eventQueue) push(e Event) {
	for {
		select {
		case q.ch <- e:
			return
		default:
		}
		if q.limit == 0 {
			q.dropped++
			return
		}
		select {
		case <-q.ch:
			q.dropped++
		default:
		}
	}
}

// close emits the last event and closes the channel. It is idempotent.
func (q *eventQueue) close(err error) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	e := Event{Kind: EventStopped, Time: time.Now(), Err: err}
	q.add(e)
	q.closed = true
	if q.ch != nil {
		close(q.ch)
	}
	q.mu.Unlock()
	q.report(e)
}

// lost returns how many events nobody will receive.
func (q *eventQueue) lost() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// report writes events to the logger, which may block: no lock must be held.
func (q *eventQueue) report(events ...Event) {
	if q.log == nil {
		return
	}
	for _, e := range events {
		q.record(e)
	}
}

func (q *eventQueue) record(e Event) {
	level := slog.LevelDebug
	if e.Kind == EventFailed || e.Kind == EventLagged {
		level = slog.LevelWarn
	}
	if !q.log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 4)
	if e.Session != nil {
		attrs = append(attrs, slog.String("session", e.Session.ID().String()), slog.Any("remote", e.Session.RemoteAddr()))
	}
	if e.Count != 0 {
		attrs = append(attrs, slog.Int("count", e.Count))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("err", e.Err))
	}
	q.log.LogAttrs(context.Background(), level, "chanio: "+e.Kind.String(), attrs...)
}
