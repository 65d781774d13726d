package natsroom

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// A Room does for many nodes what a hub does for one: see the package comment.
// All methods are safe for concurrent use.
type Room struct {
	name    string
	set     Options
	node    *node
	hub     *chanio.Hub
	source  number // identifies what this room publishes
	subject string // what it subscribes to
	index   string // its name among the node's rooms, used for acknowledgements

	events events
	inbox  inbox
	counts counters

	publishing publishing
	outbox     *outbox // replaces publishing with History; else nil

	pins    atomic.Int32  // Replays that need the subscription
	live    atomic.Bool   // it is subscribed and knows from where: liveNow is closed
	resync  atomic.Bool   // a mark was lost: the others must send theirs again
	worker  deliveryState // the worker's
	replays []*replay     // the worker's

	mu      sync.Mutex
	liveNow chan struct{}     // closed while live
	others  map[number]uint64 // members on other nodes; guarded by the node's mu
	told    uint64            // members as announced; the keeper's
	toldAny bool              // something was announced; the keeper's
	err     error
	stopped bool
	stopCtx func() bool
	unwatch func()

	ctx     context.Context // ends with the room; closing is its Done channel
	cancel  context.CancelFunc
	closing <-chan struct{}
	done    chan struct{} // closed when the room's goroutines are gone
}

// counters hold what Stats reports.
type counters struct {
	received, receivedBytes   atomic.Int64
	published, publishedBytes atomic.Int64
	missed                    atomic.Int64
}

// Join adds the members of hub to the room called name, which spans all nodes
// that have joined it over NATS. What any of them publishes goes to the members
// of all their hubs (see the package comment for the order).
//
// ctx bounds the room's life, not only the call: the room ends when ctx does.
// Join waits up to Options.JoinTimeout until the server is connected and allows
// what rooms need, and sets up the stream if Options.History asks for one. Its
// errors name what is wrong: the name, the server, missing credentials or
// permissions, JetStream. A connection joins a room once; the room and the hub's
// sessions end neither the connection nor one another.
func Join(ctx context.Context, nc *nats.Conn, name string, hub *chanio.Hub, o *Options) (*Room, error) {
	r, err := join(ctx, nc, name, hub, o)
	if err != nil {
		return nil, fmt.Errorf("chanio: join of room %q: %w", name, err)
	}
	return r, nil
}

func join(ctx context.Context, nc *nats.Conn, name string, hub *chanio.Hub, o *Options) (*Room, error) {
	set, err := o.resolve()
	switch {
	case err != nil:
		return nil, err
	case nc == nil:
		return nil, errors.New("the NATS connection is nil")
	case hub == nil:
		return nil, errors.New("the hub is nil")
	case isClosed(hub.Done()):
		return nil, fmt.Errorf("its hub: %w", chanio.ErrClosed)
	}
	if err := checkSubject(name); err != nil {
		return nil, fmt.Errorf("not a name: %w", err)
	}
	n := nodes.acquire(nc, set.Prefix)
	r := newRoom(n, name, hub, set)
	if err := n.enter(ctx, r); err != nil {
		nodes.release(n)
		return nil, err
	}
	r.events.emit(chanio.Event{Kind: chanio.EventStarted})
	stop := context.AfterFunc(ctx, func() { r.stop(context.Cause(ctx)) })
	r.mu.Lock()
	r.stopCtx = stop
	r.mu.Unlock()
	return r, nil
}

func newRoom(n *node, name string, hub *chanio.Hub, set Options) *Room {
	r := &Room{
		name:    name,
		set:     set,
		node:    n,
		hub:     hub,
		source:  newNumber(time.Now()),
		subject: n.prefix + ".room." + name,
		events:  events{limit: set.EventQueue, log: set.Logger, room: name},
		inbox:   inbox{limit: set.MaxPending},
		liveNow: make(chan struct{}),
		done:    make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.closing = r.ctx.Done()
	r.publishing.next = 1
	if set.History != nil {
		r.subject = n.prefix + ".kept." + name
		r.outbox = newOutbox(r)
	}
	return r
}

// Members returns how many members the room has on all nodes heard from in the
// last 3 seconds. A node that died or was cut off is forgotten by then, and one
// that comes back is counted within a second.
func (r *Room) Members() int { return r.hub.Len() + r.node.othersIn(r) }

// Events returns the channel of the room's events: EventStarted; EventLagged,
// whose Count is how many messages the members on this node will not get (from
// the node that Err names); EventFailed, whose Err says what went wrong and is
// retried or skipped; EventStopped. It never blocks the room: if the receiver is
// too slow, the oldest events are dropped and Stats().EventsDropped counts them.
// The room closes the channel when it ends.
func (r *Room) Events() <-chan chanio.Event { return r.events.channel() }

// Stats returns the room's counters on this node. Sessions is Members; Received
// is what NATS delivered for the members here; Sent is what was published here;
// MessagesDropped is the sum of EventLagged's counts; BytesPending is what waits
// for the hub or for an acknowledgement; and Undelivered, once the room has
// ended, is what was published but never acknowledged.
func (r *Room) Stats() chanio.Stats {
	st := chanio.Stats{
		Sessions:         int64(r.Members()),
		MessagesReceived: r.counts.received.Load(),
		BytesReceived:    r.counts.receivedBytes.Load(),
		MessagesSent:     r.counts.published.Load(),
		BytesSent:        r.counts.publishedBytes.Load(),
		MessagesDropped:  r.counts.missed.Load(),
		BytesPending:     int64(r.inbox.pending()),
		EventsDropped:    r.events.lost(),
	}
	if r.outbox != nil {
		if unacked := int64(r.outbox.pending()); isClosed(r.done) {
			st.Undelivered = unacked
		} else {
			st.BytesPending += unacked
		}
	}
	return st
}

// Close ends the room on this node. Its members get nothing more through it but
// stay in the hub. What was published and not flushed may be lost. Close returns
// nil once the room's goroutines are gone, which is after the message that the
// hub is taking.
func (r *Room) Close() error {
	r.stop(nil)
	<-r.done
	return nil
}

// Done returns a channel that is closed when the room has ended.
func (r *Room) Done() <-chan struct{} { return r.done }

// Err returns nil while the room lives and after Close. Otherwise it returns
// what ended the room: the context's cause, or that the NATS connection was
// closed.
func (r *Room) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// stop ends the room without waiting. The first err counts.
func (r *Room) stop(err error) {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return
	}
	r.stopped = true
	r.err = err
	stopCtx := r.stopCtx
	r.mu.Unlock()
	if stopCtx != nil {
		stopCtx()
	}
	r.cancel()
	go r.finish(err)
}

// finish completes what stop began. It waits, so it has a goroutine of its own.
func (r *Room) finish(err error) {
	r.node.leave(r)
	if sub := r.inbox.shut(); sub != nil {
		sub.Unsubscribe() // it fails only if the connection is closed
	}
	r.inbox.group.Wait()
	nodes.release(r.node)
	r.events.close(err)
	close(r.done)
}

// missing reports n messages that the members here will not get.
func (r *Room) missing(n uint64, source number, why string) {
	r.counts.missed.Add(int64(n))
	r.events.emit(chanio.Event{
		Kind:  chanio.EventLagged,
		Count: int(n),
		Err:   fmt.Errorf("chanio: room %q: %d messages of node %v: %s", r.name, n, source, why),
	})
}

// failed reports an error that ended nothing.
func (r *Room) failed(err error) {
	r.events.emit(chanio.Event{Kind: chanio.EventFailed, Err: fmt.Errorf("chanio: room %q: %w", r.name, err)})
}

// setLive notes whether the room is subscribed to and knows from where on.
func (r *Room) setLive(live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case live == r.live.Load():
	case live:
		close(r.liveNow)
	default:
		r.liveNow = make(chan struct{})
	}
	r.live.Store(live)
}

// awaitLive waits until the hub's current members, if any, get what is published
// from now on.
func (r *Room) awaitLive(ctx context.Context) error {
	for r.wanted() && !r.live.Load() {
		r.mu.Lock()
		live := r.liveNow
		r.mu.Unlock()
		r.node.look()
		select {
		case <-live:
		case <-r.closing:
			return chanio.ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// wanted reports whether the room needs its subscription.
func (r *Room) wanted() bool { return r.hub.Len() > 0 || r.pins.Load() > 0 }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
