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
// and for good where nobody asks for it (ten thousand rooms), events wait in a
// slice that holds no more than there were.
type eventQueue struct {
	limit int
	log   *slog.Logger

	mu      sync.Mutex
	ch      chan Event // nil until somebody asked for it
	early   []Event    // what was emitted before
	closed  bool
	dropped int64
}

func newEventQueue(set *settings) *eventQueue {
	return &eventQueue{limit: set.EventQueue, log: set.Logger}
}

// channel returns the channel that events are received from.
func (q *eventQueue) channel() <-chan Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ch == nil {
		q.ch = make(chan Event, q.limit)
		for _, e := range q.early {
			q.ch <- e // never blocks: early is no longer than the buffer
		}
		q.early = nil
		if q.closed {
			close(q.ch)
		}
	}
	return q.ch
}

// emit stamps e and queues it.
func (q *eventQueue) emit(e Event) {
	e.Time = time.Now()
	q.report(e)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
	case q.ch != nil:
		q.push(e)
	case q.limit == 0:
		q.dropped++
	default:
		if len(q.early) == q.limit {
			q.early = append(q.early[:0], q.early[1:]...)
			q.dropped++
		}
		q.early = append(q.early, e)
	}
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
	q.emit(Event{Kind: EventStopped, Err: err})
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		if q.ch != nil {
			close(q.ch)
		}
	}
}

// lost returns how many events nobody will receive.
func (q *eventQueue) lost() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// report writes e to the logger.
func (q *eventQueue) report(e Event) {
	if q.log == nil {
		return
	}
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
