package chanio

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// An Event reports something that happened to a listener, client, hub or packet
// endpoint. Events are for observing and can be lost, so clean up on
// [Session.Done].
type Event struct {
	Kind    EventKind
	Time    time.Time
	Session *Session // the session concerned; nil if there is none
	Err     error    // what failed, or why the session or its owner ended; nil after a clean end
	Count   int      // EventLagged: the number of messages skipped
}

// EventKind says what an [Event] is about.
type EventKind int

const (
	// EventStarted: a listener or packet endpoint is bound, also after Restart,
	// or a client or hub has started.
	EventStarted EventKind = iota + 1
	// EventConnected: a session is connected and its TLS handshake, if any, is
	// complete. It is the session's first event.
	EventConnected
	// EventHandshaked: a session's TLS handshake succeeded.
	EventHandshaked
	// EventDisconnected: a session has ended; Err is its Err. It is the
	// session's last event.
	EventDisconnected
	// EventLagged: a member of a hub skipped Count messages (LagDrop), or was
	// ended because it lagged (Err is ErrLagged).
	EventLagged
	// EventJoined: a session has joined a hub; or a packet endpoint has joined a
	// group again, on an interface that had gone and has come back.
	EventJoined
	// EventLeft: a session has left a hub.
	EventLeft
	// EventFailed: something failed without ending anything else: an accept, a
	// handshake, a dial, or sending a datagram.
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

// eventQueue is the sending side of an Events channel. It never blocks, holds
// at most limit events, and drops the oldest for a newer one.
//
// The channel's buffer is allocated by the first call of channel. Until then,
// and forever if it is never called (ten thousand rooms), events wait in a ring
// that holds little more than what concerns live sessions.
type eventQueue struct {
	log *slog.Logger

	mu      sync.Mutex
	ch      chan Event  // nil until it is asked for
	early   earlyEvents // what was emitted before that
	dropped int64
	limit   int32 // at most maxQueue
	closed  bool
	forgets bool // early drops sessions that have ended: there may be many queues
}

func newEventQueue(set *settings) *eventQueue {
	return &eventQueue{limit: int32(set.EventQueue), log: set.Logger}
}

// channel returns the channel that delivers the events.
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

// emit stamps, queues and reports e.
func (q *eventQueue) emit(e Event) { q.report(q.queue(e)) }

// queue stamps and queues e, and returns it for report. Callers that hold a
// lock use it to keep events in the order in which things happened.
func (q *eventQueue) queue(e Event) Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.Time = time.Now()
	q.add(e)
	return e
}

// add is queue for callers that hold mu.
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

// lose counts events that were never queued.
func (q *eventQueue) lose(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += int64(n)
}

// push sends e on the channel, replacing the oldest event if there is no room.
// Receivers may take events meanwhile, but mu keeps other senders out, so the
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

// lost returns how many events will never be received.
func (q *eventQueue) lost() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// report writes events to the logger, which may block: no lock may be held.
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
