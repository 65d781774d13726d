package chanio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// Rooms is a set of hubs by key: chat rooms, documents, games. A room's hub is
// created when the first session joins and forgotten once the last one is gone
// and has written what was published before. All methods are safe for
// concurrent use.
type Rooms[K comparable] struct {
	set  *settings
	done chan struct{} // closed when the rooms have ended

	mu      sync.RWMutex // locked before a hub's; never held while blocking
	rooms   map[K]*Hub
	ending  map[*Hub]struct{} // forgotten rooms whose members still write what was published
	late    []*Hub            // forgotten rooms without members, with a write of a former one still to be counted
	past    Stats             // of the other forgotten rooms
	closed  bool
	err     error
	stopCtx func() bool // stops watching the context; may be nil
}

// NewRooms returns a set of rooms that lives until ctx ends or Close. It does
// not own the sessions. Its hubs have options o: see [NewHub]. Invalid options
// yield rooms that have already ended with that Err.
func NewRooms[K comparable](ctx context.Context, o *Options) *Rooms[K] {
	set, err := o.resolve(false)
	r := &Rooms[K]{set: set, done: make(chan struct{}), rooms: make(map[K]*Hub), ending: make(map[*Hub]struct{})}
	if err != nil {
		r.stop(err)
		return r
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { r.stop(contextError(ctx)) })
		r.mu.Lock()
		r.stopCtx = stop
		r.mu.Unlock()
	}
	return r
}

// Join makes s a member of the room of key, creating the room if necessary. The
// session gets what is multicast to the room after Join has returned. The
// errors are those of [Hub.Join], and ErrClosed after Close.
func (r *Rooms[K]) Join(key K, s *Session) error {
	for {
		h, err := r.open(key)
		if err != nil {
			return err
		}
		err = h.Join(s)
		if err == nil {
			return nil
		}
		if !h.ended() { // the session caused the error
			h.retireUnused()
			return err
		}
		r.forget(key, h) // it has become empty since, or a user closed it: retry
	}
}

// open returns the hub of key, creating it if necessary.
func (r *Rooms[K]) open(key K) (*Hub, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errRoomsClosed
	}
	h := r.rooms[key]
	if h == nil {
		h = newHub(r.set)
		h.hubWaits().unused = func() { r.forget(key, h); r.settle(h) }
		r.rooms[key] = h
		h.events.emit(Event{Kind: EventStarted})
	}
	return h, nil
}

// errRoomsClosed is the ErrClosed of rooms.
var errRoomsClosed = fmt.Errorf("chanio: rooms: %w", ErrClosed)

// forget ends h, and removes it if it is the hub of key. It does not wait,
// since a goroutine of h may call it.
func (r *Rooms[K]) forget(key K, h *Hub) {
	h.stop(nil)
	r.mu.Lock()
	if r.rooms[key] == h {
		delete(r.rooms, key)
		r.ending[h] = struct{}{}
	}
	r.mu.Unlock()
	h.retireUnused()
}

// settle keeps only the Stats of h, which was forgotten and whose last member is gone.
func (r *Rooms[K]) settle(h *Hub) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.ending[h]; ok {
		delete(r.ending, h)
		r.late = append(r.late, h)
	}
	r.late = slices.DeleteFunc(r.late, func(h *Hub) bool {
		st := h.Stats()
		if st.BytesPending != 0 { // a session that was ended is still in a write
			return false
		}
		r.past.add(st)
		return true
	})
}

// Leave ends the membership of s in the room of key, like [Hub.Leave].
func (r *Rooms[K]) Leave(key K, s *Session) {
	if h, ok := r.Hub(key); ok {
		h.Leave(s)
	}
}

// Multicast publishes a copy of p to the members of the room of key, like
// [Hub.Multicast]. If the room does not exist, it returns nil.
func (r *Rooms[K]) Multicast(key K, p []byte) error { return r.MulticastExcept(key, p, nil) }

// MulticastExcept is Multicast to all members except s.
func (r *Rooms[K]) MulticastExcept(key K, p []byte, s *Session) error {
	return r.publish(key, func(h *Hub) error { return h.publish(p, s) })
}

// MulticastBatch is [Hub.MulticastBatch] to the room of key.
func (r *Rooms[K]) MulticastBatch(key K, b *Batch) error {
	return r.publish(key, func(h *Hub) error { return h.MulticastBatch(b) })
}

// publish lets f publish to the room of key.
func (r *Rooms[K]) publish(key K, f func(*Hub) error) error {
	r.mu.RLock()
	h, closed := r.rooms[key], r.closed
	r.mu.RUnlock()
	switch {
	case closed:
		return errRoomsClosed
	case h == nil:
		return nil
	}
	err := f(h)
	if errors.Is(err, ErrClosed) && !r.ended() {
		return nil // the last member has left meanwhile
	}
	return err
}

// Hub returns the hub of key and whether the room exists. The hub ends with the
// room's last member, so use [Rooms.Join] for a Join that must not fail.
func (r *Rooms[K]) Hub(key K) (*Hub, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, ok := r.rooms[key]
	return h, ok
}

// Len returns the number of rooms.
func (r *Rooms[K]) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.rooms)
}

// All iterates over the rooms that exist when iteration starts, in no
// particular order.
func (r *Rooms[K]) All() iter.Seq2[K, *Hub] {
	return func(yield func(K, *Hub) bool) {
		r.mu.RLock()
		rooms := maps.Clone(r.rooms)
		r.mu.RUnlock()
		for key, h := range rooms {
			if !yield(key, h) {
				return
			}
		}
	}
}

// Stats returns the sum of the Stats of all rooms, past and present. Sessions
// counts a session once for each room that it is a member of.
func (r *Rooms[K]) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	st := r.past
	for _, h := range r.rooms {
		st.add(h.Stats())
	}
	for h := range r.ending {
		st.add(h.Stats())
	}
	for _, h := range r.late {
		st.add(h.Stats())
	}
	return st
}

// Close ends all rooms. Their members leave and still get what was published
// before; their sessions stay open. It is idempotent.
func (r *Rooms[K]) Close() error {
	r.stop(nil)
	<-r.done
	return nil
}

// stop ends all rooms; the first err counts.
func (r *Rooms[K]) stop(err error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return
	}
	r.closed, r.err = true, err
	rooms := maps.Clone(r.rooms)
	stopCtx := r.stopCtx
	r.mu.Unlock()
	if stopCtx != nil {
		stopCtx()
	}
	for key, h := range rooms {
		r.forget(key, h)
		<-h.Done()
	}
	close(r.done)
}

// Done returns a channel that is closed when the rooms have ended.
func (r *Rooms[K]) Done() <-chan struct{} { return r.done }

// ended reports whether the rooms have ended or are about to.
func (r *Rooms[K]) ended() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.closed
}

// Err returns nil while the rooms live and after Close. Otherwise it returns
// what ended them: the context's cause, or invalid options.
func (r *Rooms[K]) Err() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.err
}
