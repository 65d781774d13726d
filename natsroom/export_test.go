package natsroom

import (
	"fmt"
	"time"
)

const Heartbeat time.Duration = heartbeat

// Reached returns up to where in the stream the room has come.
func (r *Room) Reached() uint64 {
	reached := make(chan uint64, 1)
	r.inbox.push(item{do: func() { reached <- r.worker.last }}, r.work)
	select {
	case n := <-reached:
		return n
	case <-r.closing:
		return 0
	}
}

// Stored returns up to where the stream has acknowledged what the room published.
func (r *Room) Stored() uint64 { return r.outbox.stored() }

// PresenceOf returns the number of the node that sent b, a presence message.
func PresenceOf(b []byte) (node string, err error) {
	p, err := parsePresence(b)
	return fmt.Sprint(p.node), err
}
