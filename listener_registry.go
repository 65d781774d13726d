package chanio

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"example.com/chanio/internal/byhost"
)

// registry holds the live sessions of a listener or client, and the totals of
// those that ended.
type registry struct {
	events *eventQueue
	change chan struct{} // one slot: a session is gone; received by the owner's goroutine

	mu      sync.Mutex
	live    map[ID]*Session
	perHost map[netip.Prefix]int // places taken by claim; nil if there is no bound
	maxHost int                  // the bound
	present int                  // sessions that are not completely gone, plus reserved places
	closed  bool                 // no more sessions are added
	total   Stats
}

func newRegistry(events *eventQueue) *registry {
	return &registry{events: events, change: make(chan struct{}, 1), live: make(map[ID]*Session)}
}

// reserve takes a place for a session, or reports that the owner has ended. The
// place counts in size until left, whether or not add uses it.
func (r *registry) reserve() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.present++
	}
	return !r.closed
}

// add adds s in a reserved place, or reports that the owner has ended.
func (r *registry) add(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.live[s.id] = s
	r.total.Accepted++
	return true
}

// boundHosts bounds the sessions of one host to n; 0 means no bound.
func (r *registry) boundHosts(n int) {
	if r.maxHost = n; n > 0 {
		r.perHost = make(map[netip.Prefix]int)
	}
}

// claim takes a place for a session from that address, or reports that all are
// taken. An unknown address is not bounded.
func (r *registry) claim(from netip.Addr) bool {
	if r.perHost == nil || !from.IsValid() {
		return true
	}
	host := byhost.Host(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perHost[host] >= r.maxHost {
		return false
	}
	r.perHost[host]++
	return true
}

// unclaim gives back what claim took. For a session, forget does that.
func (r *registry) unclaim(from netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unclaimLocked(from)
}

func (r *registry) unclaimLocked(from netip.Addr) {
	if r.perHost == nil || !from.IsValid() {
		return
	}
	host := byhost.Host(from)
	if r.perHost[host]--; r.perHost[host] <= 0 {
		delete(r.perHost, host)
	}
}

// close refuses further sessions.
func (r *registry) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wake()
}

// isClosed reports whether the owner is ending; r may be nil.
func (r *registry) isClosed() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// forget moves s, which is about to be Done, to the totals.
func (r *registry) forget(s *Session) {
	r.events.emit(Event{Kind: EventDisconnected, Session: s, Err: s.Err()})
	st := s.counts()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, s.id)
	if r.perHost != nil {
		r.unclaimLocked(hostOf(s.RemoteAddr()))
	}
	r.total.add(st)
}

// left records that a session is completely gone.
func (r *registry) left() {
	r.mu.Lock()
	r.present--
	r.mu.Unlock()
	r.wake()
}

func (r *registry) wake() {
	select {
	case r.change <- struct{}{}:
	default:
	}
}

// size returns how many sessions are not completely gone.
func (r *registry) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.present
}

// awaitEmpty waits until no session is left. Only the owner's goroutine may
// call it, and only while none is added.
func (r *registry) awaitEmpty() {
	for r.size() > 0 {
		<-r.change
	}
}

func (r *registry) session(id ID) (*Session, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.live[id]
	return s, ok
}

// snapshot returns the live sessions, in no particular order.
func (r *registry) snapshot() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Session, 0, len(r.live))
	for _, s := range r.live {
		all = append(all, s)
	}
	return all
}

// all iterates over a snapshot.
func (r *registry) all() iter.Seq[*Session] {
	return func(yield func(*Session) bool) { slices.Values(r.snapshot())(yield) }
}

func (r *registry) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.live)
}

func (r *registry) stats() Stats {
	r.mu.Lock()
	st := r.total
	for _, s := range r.live {
		st.add(s.counts())
	}
	st.Sessions = int64(len(r.live))
	r.mu.Unlock()
	st.EventsDropped = r.events.lost()
	return st
}

// end and abort end all sessions.

func (r *registry) end(cause error) {
	for _, s := range r.snapshot() {
		s.end(cause)
	}
}

func (r *registry) abort(cause error) {
	for _, s := range r.snapshot() {
		s.abort(cause)
	}
}

// shutdown ends all sessions gracefully. Receiving stops, handlers have
// closeTimeout to end their sessions, and then each remaining one gets a Close.
// When ctx ends, the rest is aborted. gone is closed when the owner has ended.
// The registry must be closed.
func (r *registry) shutdown(ctx context.Context, closeTimeout time.Duration, gone <-chan struct{}) error {
	for _, s := range r.snapshot() {
		s.halt()
	}
	if closeTimeout > 0 {
		timer := time.AfterFunc(closeTimeout, func() {
			for _, s := range r.snapshot() {
				s.beginClose()
			}
		})
		defer timer.Stop()
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-gone: // both: nothing was aborted
		return nil
	default:
	}
	r.abort(ErrClosed)
	<-gone
	return ctx.Err()
}
