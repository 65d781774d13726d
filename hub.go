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

// A Hub fans messages out to the sessions that joined it. All members with the
// same framing share one log: a message is copied, and framed, once, and every
// member's writer sends from the log at its own pace. All methods are safe for
// concurrent use.
//
// Members may have different framings: browsers, lines and raw streams in one
// room. All of them see a hub's messages whole and in one order. What a session
// gets by Send is between two of them. To udp sessions a message is a datagram.
// A session may be in many hubs, and leaves all of them when it ends. An idle
// hub costs no goroutine unless Send is used, and holds nothing but itself.
type Hub struct {
	maxLag       int64
	writeTimeout time.Duration
	lag          LagPolicy
	sendQueue    int32 // it is maxQueue at most
	stopped      bool  // guarded by mu
	events       eventQueue
	pump         atomic.Pointer[hubPump] // made by the first call of Send, under mu

	sentBytes, sentMessages atomic.Int64 // members add to them

	// mu is locked before a member's, a session's and the events' mutexes, and
	// never held across anything that blocks.
	mu      sync.Mutex
	first   feed                    // of those with the hub's own framing
	others  atomic.Pointer[[]*feed] // of those with other framings; nil if there are none. Changed under mu
	waits   *hubWaits               // made when somebody first waits
	counts  hubCounts
	end     *hubEnd     // made when it comes, or is asked for
	stopCtx func() bool // ends the watch over the context; may be nil
}

// hubCounts are what a hub's Stats are made of, beside what members count.
type hubCounts struct {
	joined   int64 // members there have ever been
	bytes    int64 // published, and
	messages int64
	owed     int64 // bytes that members were to get, each member counted, sent or not
	dropped  int64 // messages that they did not get: they lagged, or could not be sent
	lost     int64 // bytes that members had not written when they ended, or could not be sent
}

// A hubEnd is how a hub ends.
type hubEnd struct {
	err  error
	done chan struct{} // closed by finish
}

// NewHub returns a hub that lives until ctx ends or Close; it does not own its
// members. It uses Options.Framing, Lag, MaxLag, WriteTimeout, SendQueue,
// EventQueue and Logger. The framing is what members are expected to have, and
// no more than a hint: a message is framed as each member's session frames.
// Options that cannot be right yield a hub that has ended, with that Err.
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

// newHub keeps what it needs of set and not set: there may be many hubs.
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

// Join makes s a member: it gets what is multicast after Join has returned. To
// join twice is once. The error is ErrClosed if the hub or s has ended, or s
// was closed for writing.
//
// A message is framed once for all members with the same framing. Framings that
// have functions in them are the same only if both are of one Options value, or
// one pointer; each that is not costs a log of its own.
func (h *Hub) Join(s *Session) error { return h.joinAfter(s, nil) }

// joinAfter is Join, after what of another hub the session has yet to get, if
// that is not nil.
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

// join is Join, without the report of its event. joined is false for a session
// that is a member already. The caller holds mu.
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
		if s.output.batch.datagrams != nil {
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

// Leave ends the membership of s: it gets what was published before, and
// nothing that is multicast after Leave has returned. It is idempotent.
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

// Len returns how many members there are.
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

// All iterates over those that are members when it is called, in no order.
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

// Stats returns what the hub did: BytesReceived and MessagesReceived were
// published to it while it had members, BytesSent and MessagesSent went from it
// to members, each member counted; BytesPending is what members have yet to
// write, Undelivered what members that ended never wrote, and MessagesDropped
// what members did not get because they lagged or their framing cannot carry it.
// A datagram that could not be sent is in both. Of a message that members get in
// several framings BytesReceived counts one.
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

// Shutdown waits, as [Hub.Flush], until the members have written what was
// published, and closes the hub. It returns ctx's error when ctx ends first.
func (h *Hub) Shutdown(ctx context.Context) error {
	err := h.flush(ctx)
	h.Close()
	return err
}

// Close ends the hub. Members leave it, with what was published before; their
// sessions stay open. It returns nil when the hub's goroutines are gone.
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

// theEnd returns end; an idle hub does without. The caller holds mu.
func (h *Hub) theEnd() *hubEnd {
	if h.end == nil {
		h.end = &hubEnd{done: make(chan struct{})}
	}
	return h.end
}

// Err returns nil while the hub lives and after Close and Shutdown, else what
// ended it: the context's cause, or options that cannot be right.
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

// stop ends the hub; the first err counts. It finishes in a goroutine of its
// own only if the pump has to be waited for, which may be inside a Multicast.
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

// finish ends what stop began.
func (h *Hub) finish(end *hubEnd, pump *hubPump) {
	if pump != nil {
		pump.group.Wait() // it returns nil
	}
	h.mu.Lock()
	stopCtx, waker := h.stopCtx, h.hubWaits().waker
	h.mu.Unlock()
	if waker != nil {
		<-waker // soon: nobody is due in a hub without members
	}
	if stopCtx != nil {
		stopCtx()
	}
	h.events.close(end.err)
	close(end.done)
}
