package chanio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
)

// Rooms is a set of hubs by key: chat rooms, documents, games. A room's hub is
// made when the first session joins it, and forgotten once the last one is gone
// and has what was published before. All methods are safe for concurrent use.
type Rooms[K comparable] struct {
	set  *settings
	done chan struct{} // closed when it has ended

	mu      sync.RWMutex // locked before a hub's; never held across anything that blocks
	rooms   map[K]*Hub
	past    Stats // of the rooms that are forgotten
	closed  bool
	err     error
	stopCtx func() bool // ends the watch over the context; may be nil
}

// NewRooms returns a set of rooms that lives until ctx ends or Close; it does not
// own the sessions. Its hubs have options o: see [NewHub]. Options that cannot be
// right yield one that has ended, with that Err.
func NewRooms[K comparable](ctx context.Context, o *Options) *Rooms[K] {
	set, err := o.resolve(false)
	r := &Rooms[K]{set: set, done: make(chan struct{}), rooms: make(map[K]*Hub)}
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

// Join makes s a member of the room of key, which is made if there is none: it
// gets what is multicast to the room after Join has returned. The errors are those
// of [Hub.Join], and ErrClosed after Close.
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
		if !h.ended() { // it is the session's fault
			h.retireUnused()
			return err
		}
		r.forget(key, h) // it has become empty since, or a user closed it: once more
	}
}

// open returns the hub of key, a new one if there is none.
func (r *Rooms[K]) open(key K) (*Hub, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errRoomsClosed
	}
	h := r.rooms[key]
	if h == nil {
		h = newHub(r.set)
		h.hubWaits().unused = func() { r.forget(key, h) }
		r.rooms[key] = h
		h.events.emit(Event{Kind: EventStarted})
	}
	return h, nil
}

// errRoomsClosed is ErrClosed of a set of rooms.
var errRoomsClosed = fmt.Errorf("chanio: rooms: %w", ErrClosed)

// forget ends h, and forgets it if it is the hub of key. It does not wait: it may
// be called by a goroutine of h.
func (r *Rooms[K]) forget(key K, h *Hub) {
	h.stop(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rooms[key] == h {
		delete(r.rooms, key)
		r.past.add(h.Stats())
	}
}

// Leave ends the membership of s in the room of key, as [Hub.Leave].
func (r *Rooms[K]) Leave(key K, s *Session) {
	if h, ok := r.Hub(key); ok {
		h.Leave(s)
	}
}

// Multicast publishes a copy of p to the members of the room of key, as
// [Hub.Multicast]. To a room that does not exist it is nil.
func (r *Rooms[K]) Multicast(key K, p []byte) error { return r.MulticastExcept(key, p, nil) }

// MulticastExcept is Multicast to all members but s.
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
		return nil // the last member has gone meanwhile
	}
	return err
}

// Hub returns the hub of key, and whether the room exists. The hub ends with the
// room's last member: a Join that must not fail goes through [Rooms.Join].
func (r *Rooms[K]) Hub(key K) (*Hub, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, ok := r.rooms[key]
	return h, ok
}

// Len returns how many rooms there are.
func (r *Rooms[K]) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.rooms)
}

// All iterates over the rooms that there are when it is called, in no order.
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

// Stats returns the sum of the Stats of all rooms that there are and have been.
// Sessions counts a session once for each room that it is a member of.
func (r *Rooms[K]) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	st := r.past
	for _, h := range r.rooms {
		st.add(h.Stats())
	}
	return st
}

// Close ends all rooms: their members leave them, with what was published before,
// and their sessions stay open. It is idempotent.
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

// Err returns nil while the rooms live and after Close, else what ended them: the
// context's cause, or options that cannot be right.
func (r *Rooms[K]) Err() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.err
}
