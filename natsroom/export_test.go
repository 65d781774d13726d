package natsroom

import (
	"fmt"
	"time"
)

const Heartbeat time.Duration = heartbeat

// Reached returns up to where in the stream the room has come.
func (r *Room) Reached() uint64 {
	return ask(r, func() uint64 { return r.worker.last })
}

// Sources returns of how many publishers the room knows how far they have come.
func (r *Room) Sources() int {
	return ask(r, func() int { return len(r.worker.filter.sources) })
}

// ask has the worker answer. If the room has ended, it returns the zero value.
func ask[T any](r *Room, answer func() T) (zero T) {
	answers := make(chan T, 1)
	r.inbox.push(item{do: func() { answers <- answer() }}, r.work)
	select {
	case v := <-answers:
		return v
	case <-r.closing:
		return zero
	}
}

// Stored returns up to where the stream has acknowledged what the room published.
func (r *Room) Stored() uint64 { return r.outbox.stored() }

// PresenceOf returns the number of the node that sent b, a presence message.
func PresenceOf(b []byte) (node string, err error) {
	p, err := parsePresence(b)
	return fmt.Sprint(p.node), err
}
