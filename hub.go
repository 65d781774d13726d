package chanio

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/internal/buffer"
	"example.com/chanio/internal/sharedlog"
)

// A Hub fans messages out to the sessions that joined it. All members share one
// log: a message is copied, and framed, once, and every member's writer sends
// from the log at its own pace. All methods are safe for concurrent use.
//
// All members see a hub's messages whole and in one order. What a session gets
// by Send is between two of them. To udp sessions a message is a datagram. A
// session may be in many hubs, and leaves all of them when it ends. A hub costs
// no goroutine unless Send is used, and nothing but itself while it is idle.
type Hub struct {
	framing      Framing
	maxLag       int64
	writeTimeout time.Duration
	events       eventQueue
	pump         atomic.Pointer[hubPump] // made by the first call of Send, under mu
	sendQueue    int32                   // it is maxQueue at most

	flushing                atomic.Int32 // how many Flushes wait
	need                    atomic.Int64 // publishers wait until all have taken this much; 0 if none waits
	sentBytes, sentMessages atomic.Int64 // members add to them

	mu      sync.Mutex // never held across anything that blocks
	log     sharedlog.Log
	clear   int64     // up to here in the log no member lags
	places  []*member // who is a member, and who has left and not yet written what was published before
	staying int32     // places[:staying] are members
	parked  int32     // places[:parked] have written everything and hold nothing of the log
	lag     LagPolicy
	stopped bool
	waits   *hubWaits   // made when somebody first waits
	joined  int64       // members there have ever been
	owed    int64       // bytes that members were to get, each member counted, sent or not
	dropped int64       // messages that they did not get: they lagged, or could not be sent
	lost    int64       // bytes that members had not written when they ended, or could not be sent
	end     *hubEnd     // made when it comes, or is asked for
	stopCtx func() bool // ends the watch over the context; may be nil
}

// hubWaits are those who wait for members, which is seldom.
type hubWaits struct {
	gate    gate      // publishers
	flushes *hubFlush // a list of calls of Flush
	watches []*hubWatch
}

// waiting returns waits. The caller holds mu.
func (h *Hub) waiting() *hubWaits {
	if h.waits == nil {
		h.waits = new(hubWaits)
	}
	return h.waits
}

// A hubEnd is how a hub ends.
type hubEnd struct {
	err  error
	done chan struct{} // closed by finish
}

// A hubPump multicasts what comes by Send.
type hubPump struct {
	send    chan []byte
	closing chan struct{}  // closed by stop
	group   errgroup.Group // owns the goroutine
}

// NewHub returns a hub that lives until ctx ends or Close; it does not own its
// members. It uses Options.Framing, which must be its members' too, Lag,
// MaxLag, WriteTimeout, SendQueue, EventQueue and Logger. Options that cannot
// be right yield a hub that has ended, with that Err.
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
	return &Hub{
		framing:      set.Framing,
		lag:          set.Lag,
		maxLag:       int64(set.MaxLag),
		writeTimeout: set.WriteTimeout,
		sendQueue:    int32(set.SendQueue),
		events:       eventQueue{limit: int32(set.EventQueue), log: set.Logger},
		log:          sharedlog.New(set.MaxLag),
		clear:        int64(set.MaxLag),
	}
}

// Join makes s a member: it gets what is multicast after Join has returned. To
// join twice is once. The error is ErrClosed if the hub or s has ended, or s
// was closed for writing; else it says so if the framings differ. Those that
// have functions in them are the same only if both are of one Options value, or
// one pointer.
func (h *Hub) Join(s *Session) error { return h.join(s, nil) }

// join is Join, behind what s has yet to get of prior, if that is not nil.
func (h *Hub) join(s *Session, prior *Hub) error {
	if s == nil {
		return fmt.Errorf("chanio: join of a nil session")
	}
	same := sameFraming(h.framing, s.set.Framing)
	m := &member{hub: h, s: s, end: farAway}
	h.mu.Lock()
	known, err := false, error(nil)
	switch {
	case h.stopped, s.life().refusing():
		err = ErrClosed
	case !same:
		err = fmt.Errorf("the session's framing %T is not the hub's %T", s.set.Framing, h.framing)
	default:
		known, err = s.addMember(m, prior)
	}
	if known || err != nil {
		h.mu.Unlock()
		if err != nil {
			err = s.errorAt("join", err)
		}
		return err
	}
	if s.output.batch.datagrams != nil {
		h.log.Index()
	}
	m.credit = h.log.Head().Weight // no Flush that waits now waits for m
	h.joined++
	h.add(m)
	event := h.events.queue(Event{Kind: EventJoined, Session: s})
	h.mu.Unlock()
	h.events.report(event)
	return nil
}

// Leave ends the membership of s: it gets what was published before, and
// nothing that is multicast after Leave has returned. It is idempotent.
func (h *Hub) Leave(s *Session) {
	if s == nil {
		return
	}
	for _, m := range s.membersNow() {
		if m.hub == h {
			h.leave(m)
		}
	}
}

// Multicast publishes a copy of p to all members and returns at once; with
// [LagBlock] when there is room. To nobody it is nil. The error is ErrClosed
// once the hub has ended, ErrMessageTooLarge if p, framed, is larger than
// MaxLag, or what the framing says of p.
func (h *Hub) Multicast(p []byte) error {
	if h.framing == nil {
		return h.publish(p)
	}
	b := buffer.Get(buffer.Small)
	defer b.Free()
	framed, err := h.framing.AppendFrame(b.B[:0], p)
	if err != nil {
		return h.refuse(len(p), err)
	}
	return h.publish(framed)
}

// refuse returns the error of a message of n bytes that cannot be multicast.
func (h *Hub) refuse(n int, err error) error {
	if h.ended() {
		err = ErrClosed
	}
	return fmt.Errorf("chanio: multicast of %d bytes: %w", n, err)
}

// publish appends what is to go over the wire to the log.
func (h *Hub) publish(p []byte) error {
	if int64(len(p)) > min(h.maxLag, math.MaxUint32/2) {
		return h.refuse(len(p), fmt.Errorf("MaxLag is %d: %w", h.maxLag, ErrMessageTooLarge))
	}
	var few [8]*member // spares most rooms an allocation
	var woken []*member
	h.mu.Lock()
	lagged := h.makeRoom(h.log.Weight(len(p)))
	stopped := h.stopped
	if !stopped && h.staying > 0 {
		h.owed += int64(h.staying) * int64(len(p))
		woken = h.unpark(few[:0], h.log.Append(p))
	}
	h.mu.Unlock()

	endDismissed(lagged)
	for _, m := range woken {
		m.s.memberReady(m)
	}
	h.tell(lagged)
	if stopped {
		return h.refuse(len(p), ErrClosed)
	}
	return nil
}

// Send returns the channel of what is to be multicast, for select. The slice
// belongs to the hub from then on: do not modify it. It buffers
// Options.SendQueue messages; a goroutine of the hub, which the first call
// starts, receives from it. What cannot be multicast is an EventFailed. Once the
// hub has ended nobody receives: select on Done too. Users must not close it.
func (h *Hub) Send() chan<- []byte {
	if p := h.pump.Load(); p != nil {
		return p.send
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pump.Load()
	if p == nil {
		p = &hubPump{send: make(chan []byte, h.sendQueue), closing: make(chan struct{})}
		h.pump.Store(p)
		if !h.stopped {
			p.group.Go(func() error { h.runPump(p); return nil })
		}
	}
	return p.send
}

// runPump multicasts what comes by Send. The pump's group owns it; it ends when
// the hub is stopped.
func (h *Hub) runPump(p *hubPump) {
	for {
		select {
		case m, ok := <-p.send:
			if !ok {
				return // it is not to be closed, but a loop would be worse
			}
			if err := h.Multicast(m); err != nil {
				h.events.emit(Event{Kind: EventFailed, Err: err})
			}
		case <-p.closing:
			return
		}
	}
}

// Events returns the channel of the hub's events: EventJoined, EventLeft,
// EventLagged and EventFailed; see [Listener.Events].
func (h *Hub) Events() <-chan Event { return h.events.channel() }

// Len returns how many members there are.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int(h.staying)
}

// All iterates over those that are members when it is called, in no order.
func (h *Hub) All() iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		h.mu.Lock()
		members := slices.Clone(h.members())
		h.mu.Unlock()
		for _, m := range members {
			if !yield(m.s) {
				return
			}
		}
	}
}

// Stats returns what the hub did: BytesReceived and MessagesReceived were
// published to it while it had members, BytesSent and MessagesSent went from it to members, each
// member counted; BytesPending is what members have yet to write, Undelivered
// what members that ended never wrote, and MessagesDropped what lagging ones
// skipped. A datagram that could not be sent is in both.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	head := h.log.Head()
	st := Stats{
		Sessions:         int64(h.staying),
		Accepted:         h.joined,
		BytesReceived:    head.Bytes,
		MessagesReceived: head.Messages,
		BytesSent:        h.sentBytes.Load(),
		MessagesSent:     h.sentMessages.Load(),
		MessagesDropped:  h.dropped,
		Undelivered:      h.lost,
	}
	st.BytesPending = h.owed - st.BytesSent
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
// sessions stay open. It returns nil when the hub's goroutine is gone.
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
	return h.stopped
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
	for _, m := range h.places {
		h.ungate(m)
	}
	members := slices.Clone(h.members())
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
	stopCtx := h.stopCtx
	h.mu.Unlock()
	if stopCtx != nil {
		stopCtx()
	}
	h.events.close(end.err)
	close(end.done)
}
