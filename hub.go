package chanio

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/internal/sharedlog"
)

// A Hub fans messages out to the sessions that joined it. Members with the same
// framing share one log: a message is copied and framed once, and each member's
// writer sends from the log at its own pace. All methods are safe for
// concurrent use.
//
// Members may have different framings: browsers, lines and raw streams in one
// room. All of them see the hub's messages whole and in the same order. A
// message sent to a session by Send goes between two of them. To udp sessions a
// message is a datagram. A session may be in many hubs and leaves all of them
// when it ends. An idle hub costs no goroutine unless Send is used, and holds
// no other memory.
type Hub struct {
	maxLag       int64
	writeTimeout time.Duration
	lag          LagPolicy
	sendQueue    int32 // at most maxQueue
	stopped      bool  // guarded by mu
	events       eventQueue
	pump         atomic.Pointer[hubPump] // made by the first call of Send, under mu

	sentBytes, sentMessages atomic.Int64 // updated by the members

	// mu is locked before a member's, a session's and the event queue's mutex,
	// and never held while blocking.
	mu      sync.Mutex
	first   feed                    // members with the hub's own framing
	others  atomic.Pointer[[]*feed] // members with other framings; nil if there are none; written under mu
	waits   *hubWaits               // made when something first waits
	counts  hubCounts
	end     *hubEnd     // made when the hub ends, or when first asked for
	stopCtx func() bool // stops watching the context; may be nil
}

// hubCounts are the counters behind a hub's Stats, in addition to what members
// count.
type hubCounts struct {
	joined   int64 // members ever joined
	bytes    int64 // published
	messages int64
	owed     int64 // bytes due to members, sent or not, counted once for each member
	dropped  int64 // messages that members did not get: they lagged, or could not be sent
	lost     int64 // bytes that members had not written when they ended, or that could not be sent
}

// A hubEnd records how a hub ended.
type hubEnd struct {
	err  error
	done chan struct{} // closed by finish
}

// finished reports whether done is closed.
func (e *hubEnd) finished() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// NewHub returns a hub that lives until ctx ends or Close. It does not own its
// members. It uses Options.Framing, Lag, MaxLag, WriteTimeout, SendQueue,
// EventQueue and Logger. The framing is the one that members are expected to
// have and only a hint: a message is framed as each member's session frames.
// Invalid options yield a hub that has already ended with that Err.
func NewHub(ctx context.Context, o *Options) *Hub {
	set, err := o.resolve(false)
	if err != nil {
		set = new(settings)
	}
	h := newHub(set)
	h.events.emit(Event{Kind: EventStarted})
	if err != nil {
		h.stop(err)
		return h
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { h.stop(contextError(ctx)) })
		h.mu.Lock()
		h.stopCtx = stop
		h.mu.Unlock()
	}
	return h
}

// newHub copies what it needs from set and does not keep set: there may be many
// hubs.
func newHub(set *settings) *Hub {
	h := &Hub{
		lag:          set.Lag,
		maxLag:       int64(set.MaxLag),
		writeTimeout: set.WriteTimeout,
		sendQueue:    int32(set.SendQueue),
		events:       eventQueue{limit: int32(set.EventQueue), log: set.Logger, forgets: true},
	}
	h.first = feed{hub: h, framing: set.Framing, log: sharedlog.New(set.MaxLag), clear: h.maxLag}
	return h
}

// Join makes s a member, which gets what is multicast after Join has returned.
// Joining again has no effect. The error is ErrClosed if the hub or s has
// ended, or if s was closed for writing.
//
// A message is framed once for all members with the same framing. Framings that
// contain functions are the same only if they come from one Options value or
// are one pointer. Each different framing costs a log of its own.
func (h *Hub) Join(s *Session) error { return h.joinAfter(s, nil) }

// joinAfter is Join, except that s first gets what another hub owes it, if
// after is not nil.
func (h *Hub) joinAfter(s *Session, after *hubMark) error {
	if s == nil {
		return fmt.Errorf("chanio: join of a nil session")
	}
	h.mu.Lock()
	event, joined, err := h.join(s, after)
	h.mu.Unlock()
	if err != nil {
		return s.errorAt("join", err)
	}
	if joined {
		h.events.report(event)
	}
	return nil
}

// join is Join without reporting its event. joined is false if the session is
// already a member. The caller holds mu.
func (h *Hub) join(s *Session, after *hubMark) (event Event, joined bool, err error) {
	if h.stopped || h.waits != nil && h.waits.retired {
		return event, false, ErrClosed
	}
	m, err := s.place(h)
	if err != nil || m != nil && !m.left() {
		return event, false, err
	}
	if m == nil {
		m = &member{feed: h.feedOf(s.set.Framing), s: s}
		if err := s.addPlace(m); err != nil {
			h.dropFeed(m.feed)
			return event, false, err
		}
		if s.traits.messages {
			m.feed.log.Index()
		}
		m.feed.add(m)
	} else {
		m.feed.rejoin(m)
	}
	if after != nil {
		m.readAfter(after)
	}
	h.counts.joined++
	h.welcome()
	h.lenChanged()
	return h.events.queue(Event{Kind: EventJoined, Session: s}), true, nil
}

// Leave ends the membership of s. It gets what was published before, and
// nothing that is multicast after Leave has returned. Leave is idempotent.
func (h *Hub) Leave(s *Session) {
	if s == nil {
		return
	}
	if m := s.member(h); m != nil {
		h.leave(m)
	}
}

// Events returns the channel of the hub's events: EventJoined, EventLeft,
// EventLagged and EventFailed; see [Listener.Events].
func (h *Hub) Events() <-chan Event { return h.events.channel() }

// Len returns the number of members.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.size()
}

// size is Len. The caller holds mu.
func (h *Hub) size() (n int) {
	for f := range h.feeds {
		n += int(f.staying)
	}
	return n
}

// members returns the members. The caller holds mu.
func (h *Hub) members() (all []*member) {
	for f := range h.feeds {
		all = append(all, f.places[:f.staying]...)
	}
	return all
}

// All iterates over the sessions that are members when iteration starts, in no
// particular order.
func (h *Hub) All() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		h.mu.Lock()
		members := h.members()
		h.mu.Unlock()
		for _, m := range members {
			if !yield(m.s) {
				return
			}
		}
	}
}

// Stats returns what the hub did. BytesReceived and MessagesReceived were
// published to it while it had members; a message counts once in BytesReceived
// even if members get it in several framings. BytesSent and MessagesSent went
// to members, counted once for each. BytesPending is what members have yet to
// write, and Undelivered what members that ended never wrote. MessagesDropped
// is what members did not get because they lagged or because their framing
// cannot carry it. A datagram that could not be sent counts in both Undelivered
// and MessagesDropped.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	st := Stats{
		Sessions:         int64(h.size()),
		Accepted:         h.counts.joined,
		BytesReceived:    h.counts.bytes,
		MessagesReceived: h.counts.messages,
		BytesSent:        h.sentBytes.Load(),
		MessagesSent:     h.sentMessages.Load(),
		MessagesDropped:  h.counts.dropped,
		Undelivered:      h.counts.lost,
	}
	st.BytesPending = h.counts.owed - st.BytesSent
	h.mu.Unlock()
	st.EventsDropped = h.events.lost()
	return st
}

// Shutdown waits, like [Hub.Flush], until the members have written what was
// published, and closes the hub. If ctx ends first, it closes the hub and
// returns ctx's error.
func (h *Hub) Shutdown(ctx context.Context) error {
	err := h.flush(ctx)
	h.Close()
	return err
}

// Close ends the hub. Its members leave it and still get what was published
// before; their sessions stay open. Close returns nil when the hub's goroutines
// have exited.
func (h *Hub) Close() error {
	h.stop(nil)
	<-h.Done()
	return nil
}

// Done returns a channel that is closed when the hub has ended.
func (h *Hub) Done() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.theEnd().done
}

// theEnd returns end, which an idle hub does not have yet. The caller holds mu.
func (h *Hub) theEnd() *hubEnd {
	if h.end == nil {
		h.end = &hubEnd{done: make(chan struct{})}
	}
	return h.end
}

// Err returns nil while the hub lives and after Close and Shutdown. Otherwise
// it returns what ended the hub: the context's cause, or invalid options.
func (h *Hub) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.stopped {
		return nil
	}
	return h.end.err
}

// ended reports whether the hub has ended or is about to.
func (h *Hub) ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stopped || h.waits != nil && h.waits.retired
}

// stop ends the hub; the first err counts. It finishes in a separate goroutine
// only if it must wait for the pump, which may be inside a Multicast.
func (h *Hub) stop(err error) {
	h.mu.Lock()
	if h.stopped {
		h.mu.Unlock()
		return
	}
	h.stopped = true
	end := h.theEnd()
	end.err = err
	h.openGate()
	members := h.members()
	pump := h.pump.Load()
	h.mu.Unlock()
	for _, m := range members {
		h.leave(m)
	}
	if pump != nil {
		close(pump.closing)
		go h.finish(end, pump)
	} else {
		h.finish(end, nil)
	}
}

// finish completes what stop began.
func (h *Hub) finish(end *hubEnd, pump *hubPump) {
	if pump != nil {
		pump.group.Wait() // it returns nil
	}
	h.mu.Lock()
	stopCtx, waker := h.stopCtx, h.hubWaits().waker
	h.mu.Unlock()
	if waker != nil {
		<-waker // soon: no one is due in a hub without members
	}
	if stopCtx != nil {
		stopCtx()
	}
	h.events.close(end.err)
	close(end.done)
	h.unlinked()
}
