package natsroom

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"example.com/chanio"
)

// events is the sending side of a room's Events. It never blocks: when full, it
// drops the oldest event for a newer one. The channel is made on first use;
// until then events wait in a slice no longer than needed.
type events struct {
	limit int
	log   *slog.Logger
	room  string

	mu      sync.Mutex
	ch      chan chanio.Event
	early   []chanio.Event
	dropped int64
	closed  bool
}

func (q *events) channel() <-chan chanio.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ch == nil {
		q.ch = make(chan chanio.Event, q.limit)
		for _, e := range q.early {
			q.ch <- e // early is no longer than the buffer
		}
		q.early = nil
		if q.closed {
			close(q.ch)
		}
	}
	return q.ch
}

// emit stamps e, queues it and logs it. The caller holds no lock.
func (q *events) emit(e chanio.Event) {
	e.Time = time.Now()
	q.mu.Lock()
	if !q.closed {
		q.add(e)
	}
	q.mu.Unlock()
	q.record(e)
}

// close emits the last event and closes the channel.
func (q *events) close(err error) {
	e := chanio.Event{Kind: chanio.EventStopped, Time: time.Now(), Err: err}
	q.mu.Lock()
	q.add(e)
	q.closed = true
	if q.ch != nil {
		close(q.ch)
	}
	q.mu.Unlock()
	q.record(e)
}

// add queues e. The caller holds mu.
func (q *events) add(e chanio.Event) {
	if q.ch == nil {
		if len(q.early) == q.limit {
			q.early = append(q.early[:0], q.early[1:]...)
			q.dropped++
		}
		q.early = append(q.early, e)
		return
	}
	for { // mu excludes other senders, so this ends
		select {
		case q.ch <- e:
			return
		default:
		}
		select {
		case <-q.ch:
			q.dropped++
		default:
		}
	}
}

// lost returns how many events were dropped.
func (q *events) lost() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

func (q *events) record(e chanio.Event) {
	level := slog.LevelDebug
	if e.Kind == chanio.EventFailed || e.Kind == chanio.EventLagged {
		level = slog.LevelWarn
	}
	if q.log == nil || !q.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{slog.String("room", q.room)}
	if e.Count != 0 {
		attrs = append(attrs, slog.Int("count", e.Count))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("err", e.Err))
	}
	q.log.LogAttrs(context.Background(), level, "natsroom: "+e.Kind.String(), attrs...)
}
