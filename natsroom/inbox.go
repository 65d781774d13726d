package natsroom

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// An inbox holds what has arrived for a room and waits for the worker. The
// worker is a goroutine that lives only while there is work, so a thousand idle
// rooms cost none.
type inbox struct {
	limit int
	group sync.WaitGroup // the worker

	mu      sync.Mutex
	items   []item
	bytes   int // size of items and of those that the worker holds
	sub     *nats.Subscription
	old     *nats.Subscription // its messages are no longer wanted
	open    bool               // messages are wanted
	held    bool               // ... but not passed on: where to begin is not known yet
	running bool               // there is a worker
	down    bool               // the room has ended
	skipped uint64             // History: the last sequence for which there was no room
}

// An item is one thing for the worker to do.
type item struct {
	msg    *nats.Msg // a message, or
	mark   uint64    // how far source must have come, or
	do     func()    // something to run
	source number
}

// itemSize is what an item costs in addition to its message's data.
const itemSize = 256

func (i *item) size() int {
	if i.msg == nil {
		return itemSize
	}
	return itemSize + len(i.msg.Data)
}

// push hands i to the worker and, if there is none, starts one that runs work.
// It reports false if there was no room for i; something to run always fits.
func (in *inbox) push(i item, work func()) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.down, i.do == nil && !in.open, i.msg != nil && i.msg.Sub == in.old:
		return true
	case i.do == nil && in.bytes+i.size() > in.limit && in.bytes > 0:
		return false
	}
	in.items = append(in.items, i)
	in.bytes += i.size()
	in.start(work)
	return true
}

// start starts the worker if there is something to do. The caller holds mu.
func (in *inbox) start(work func()) {
	if !in.running && !in.held && len(in.items) > 0 {
		in.running = true
		in.group.Go(work)
	}
}

// take returns all items that wait, in exchange for done, the items taken
// before. It returns nil if there are none: the worker ends.
func (in *inbox) take(done []item) []item {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range done {
		in.bytes -= done[i].size()
	}
	clear(done)
	if len(in.items) == 0 || in.held || in.down {
		in.running = false
		if len(in.items) == 0 {
			in.items = nil
		}
		return nil
	}
	items := in.items
	in.items = done[:0]
	return items
}

// skip records that there was no room for the message with that sequence in the
// stream.
func (in *inbox) skip(seq uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.skipped = max(in.skipped, seq)
}

// skippedUpTo returns and clears the last sequence that skip recorded.
func (in *inbox) skippedUpTo() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	seq := in.skipped
	in.skipped = 0
	return seq
}

// opening opens the inbox for messages, which wait until release.
func (in *inbox) opening() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.open, in.held = true, true
}

// subscribed records the subscription that delivers messages. It reports false
// if the inbox was shut in the meantime.
func (in *inbox) subscribed(sub *nats.Subscription) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.down {
		return false
	}
	in.sub = sub
	return true
}

// placed reports whether there is a subscription.
func (in *inbox) placed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.sub != nil
}

// release passes on first, then what waits.
func (in *inbox) release(first item, work func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.held = false
	in.items = append([]item{first}, in.items...)
	in.bytes += first.size()
	in.start(work)
}

// unsubscribe closes the inbox to messages and drops those that wait. It returns
// the subscription to end.
func (in *inbox) unsubscribe(work func()) *nats.Subscription {
	in.mu.Lock()
	defer in.mu.Unlock()
	sub := in.sub
	in.old, in.sub = sub, nil
	in.open, in.held = false, false
	kept := in.items[:0]
	for _, i := range in.items {
		if i.do != nil {
			kept = append(kept, i)
		} else {
			in.bytes -= i.size()
		}
	}
	clear(in.items[len(kept):])
	in.items = kept
	in.start(work)
	return sub
}

// shut drops all items and accepts no more. It returns a subscription to end if
// the keeper has made one since unsubscribe; later ones subscribed refuses.
func (in *inbox) shut() *nats.Subscription {
	in.mu.Lock()
	defer in.mu.Unlock()
	sub := in.sub
	in.sub = nil
	in.down, in.open = true, false
	for i := range in.items {
		in.bytes -= in.items[i].size()
	}
	in.items = nil
	return sub
}

func (in *inbox) pending() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bytes
}
