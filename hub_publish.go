package chanio

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/internal/buffer"
)

// A frame is what the members of a feed get from one publication: one or
// several messages.
type frame struct {
	feed *feed
	data []byte // in wire form
	ends []int  // where each message ends in data; nil if it is one message

	refused int   // how many messages the framing cannot carry
	err     error // why, for the first
}

// messages returns the number of messages.
func (f *frame) messages() int {
	switch {
	case f.ends != nil:
		return len(f.ends)
	case f.refused > 0:
		return 0
	}
	return 1
}

// message returns message i.
func (f *frame) message(i int) []byte {
	if f.ends == nil {
		return f.data
	}
	start := 0
	if i > 0 {
		start = f.ends[i-1]
	}
	return f.data[start:f.ends[i]]
}

// weight returns the size that the messages will have in the log. The caller
// holds the hub's mu.
func (f *frame) weight() int64 {
	n := f.messages()
	return int64(len(f.data)) + int64(n)*f.feed.log.Weight(0)
}

// Multicast publishes a copy of p to all members and returns at once, whatever
// their number. With [LagBlock], and when publishers outrun the members, it
// waits for room. Without members it returns nil.
//
// The error is ErrClosed once the hub has ended, ErrMessageTooLarge if p,
// framed, is larger than MaxLag, or the framing's error. If members have
// different framings, it is an error only if none can carry p. If only some
// can, those members get p, and for the others it is an EventFailed and counted
// in MessagesDropped. The same applies to a udp or unixpacket session whose
// datagrams or packets cannot hold p, where it is an event of the session's
// listener or client if there is one.
func (h *Hub) Multicast(p []byte) error { return h.publish(p, nil) }

// MulticastExcept is Multicast to all members except s, which need not be a
// member. It is for forwarding what s itself has sent.
func (h *Hub) MulticastExcept(p []byte, s *Session) error { return h.publish(p, s) }

// publish multicasts p to all members except except, which may be nil.
func (h *Hub) publish(p []byte, except *Session) error {
	for {
		if err := h.tryPublish(p, except); err != errNewFeed {
			return err
		}
	}
}

// tryPublish is publish, unless somebody with another framing joins meanwhile.
func (h *Hub) tryPublish(p []byte, except *Session) error {
	var few [2]frame
	frames := h.targets(few[:])
	if len(frames) == 1 && frames[0].feed.framing == nil { // most hubs of raw streams
		frames[0].accept(p)
		return h.commit(frames, len(p), except)
	}
	b := buffer.Get(buffer.Small)
	defer b.Free()
	room := b.B[:0]
	for i := range frames {
		room = frames[i].encode(room, p)
	}
	return h.commit(frames, len(p), except)
}

// errNewFeed is what commit returns where a feed has got its first member since
// targets was called: what is published next would get to it, so this has to, too.
var errNewFeed = errors.New("chanio: a member with another framing has joined")

// cover reports whether frames has one for each feed with members. The caller holds
// mu.
func (h *Hub) cover(frames []frame) bool {
	for f := range h.feeds {
		if f.staying > 0 && !slices.ContainsFunc(frames, func(fr frame) bool { return fr.feed == f }) {
			return false
		}
	}
	return true
}

// targets returns a frame for each feed to which a message published now must go.
// If another feed gets its first member before the commit, that returns errNewFeed.
// It uses the frames of few, of which there is at least one and all are zero.
func (h *Hub) targets(few []frame) []frame {
	if h.others.Load() == nil { // nearly always; setting a field costs less than a frame
		few[0].feed = &h.first
		return few[:1]
	}
	dst := few[:0]
	h.mu.Lock()
	defer h.mu.Unlock()
	for f := range h.feeds {
		if f.staying > 0 {
			dst = append(dst, frame{feed: f})
		}
	}
	if len(dst) == 0 {
		dst = append(dst, frame{feed: &h.first})
	}
	return dst
}

// encode frames p, in the free part of room if it fits, and returns the used
// part of room.
func (f *frame) encode(room, p []byte) []byte {
	if f.feed.framing == nil {
		f.accept(p)
		return room
	}
	data, err := f.feed.framing.AppendFrame(room[len(room):], p)
	if err != nil {
		f.refuse(err)
		return room
	}
	f.accept(data)
	if len(room)+len(data) > cap(room) {
		return room // it has its own memory
	}
	return room[:len(room)+len(data)]
}

// accept makes data the frame's only message.
func (f *frame) accept(data []byte) {
	maxLag := f.feed.hub.maxLag
	if int64(len(data)) > min(maxLag, math.MaxUint32/2) {
		f.refuse(fmt.Errorf("MaxLag is %d: %w", maxLag, ErrMessageTooLarge))
		return
	}
	f.data = data
}

// refuse records that a message cannot be published to the feed.
func (f *frame) refuse(err error) {
	f.refused++
	if f.err == nil {
		f.err = err
	}
}

// failed returns the error for a message of n bytes that cannot be multicast.
func (h *Hub) failed(n int, err error) error {
	if h.ended() {
		err = ErrClosed
	}
	return fmt.Errorf("chanio: multicast of %d bytes: %w", n, err)
}

// commit appends frames, made of a message of n bytes, to their feeds' logs, or
// returns errNewFeed.
func (h *Hub) commit(frames []frame, n int, except *Session) error {
	carried := false
	for i := range frames {
		carried = carried || frames[i].messages() > 0
	}
	if !carried {
		return h.failed(n, frames[0].err)
	}
	h.mu.Lock()
	lagged := h.makeRoom(frames, except)
	stopped, covered := h.stopped, h.cover(frames)
	var events []Event
	var apart *member
	if !stopped && covered {
		events, apart = h.append(frames, except)
	}
	h.wakeAndUnlock(frames, apart)
	endDismissed(lagged)
	h.tell(lagged)
	h.events.report(events...)
	switch {
	case stopped:
		return h.failed(n, ErrClosed)
	case !covered:
		return errNewFeed
	}
	return nil
}

// append appends frames to their feeds' logs. It returns the member that does not
// get them if its session must be told all the same. The caller holds mu.
func (h *Hub) append(frames []frame, except *Session) (events []Event, tell *member) {
	apart := h.apart(except)
	var messages, bytes int64 // of the frame that carries most
	for i := range frames {
		f := frames[i].feed
		getters := int64(f.staying)
		if apart != nil && apart.feed == f {
			getters--
		}
		if getters == 0 {
			continue
		}
		if frames[i].refused > 0 {
			events = h.appendRefused(events, &frames[i], apart)
		}
		n := frames[i].messages()
		if n == 0 {
			continue
		}
		if more := int64(n) - messages; more > 0 {
			h.counts.messages += more
			h.counts.bytes += int64(len(frames[i].data)) - bytes
			messages, bytes = int64(n), int64(len(frames[i].data))
		}
		h.counts.owed += getters * int64(len(frames[i].data))
		if apart != nil && apart.feed == f {
			if f.appendExcept(&frames[i], apart) {
				tell = apart
			}
		} else {
			f.append(&frames[i])
		}
	}
	return events, tell
}

// apart returns the place of except, which may be nil, if it is a member. The caller
// holds mu.
func (h *Hub) apart(except *Session) *member {
	if except == nil {
		return nil
	}
	if m := except.member(h); m != nil && !m.left() {
		return m
	}
	return nil
}

// append appends the frame's messages to the log.
func (f *feed) append(fr *frame) {
	for i := range fr.messages() {
		weight := f.head()
		f.published(f.log.Append(fr.message(i)), weight)
	}
}

// appendExcept is append while skipping m, as if it had left meanwhile. It
// reports whether m's session must be told that there is something to read.
func (f *feed) appendExcept(fr *frame, m *member) (tell bool) {
	idle := f.idle(m)
	if m.index < f.parked {
		tell = !idle
		f.rouse(m)
	}
	m.cut()
	before := f.head()
	f.append(fr)
	m.base -= f.head() - before
	if idle {
		f.park(m)
		return false
	}
	m.mu.Lock()
	m.cursor = f.log.End()
	m.mu.Unlock()
	return tell
}

// appendRefused counts what the members of a feed do not get because their
// framing cannot carry it, and appends events for it, up to the size of the
// hub's event queue. The caller holds mu.
func (h *Hub) appendRefused(events []Event, fr *frame, apart *member) []Event {
	err := fmt.Errorf("chanio: multicast: %w", fr.err)
	emitted := 0
	for _, m := range fr.feed.places[:fr.feed.staying] {
		if m == apart {
			continue
		}
		h.counts.dropped += int64(fr.refused)
		m.s.stats.messagesDropped.Add(int64(fr.refused))
		if emitted++; emitted <= int(h.events.limit) {
			events = append(events, h.events.queue(Event{Kind: EventFailed, Session: m.s, Err: err}))
		}
	}
	h.events.lose(max(0, emitted-int(h.events.limit)))
	return events
}

// A hubPump multicasts what is sent on Send.
type hubPump struct {
	send    chan []byte
	closing chan struct{}  // closed by stop
	group   errgroup.Group // owns the goroutine
}

// Send returns a channel for multicasting with select. A slice belongs to the
// hub once sent: do not modify it. The channel buffers Options.SendQueue
// messages. A goroutine of the hub, started by the first call, receives from
// it. A message that cannot be multicast is an EventFailed. Once the hub has
// ended there is no receiver, so select on Done as well. Users must not close
// the channel.
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

// runPump multicasts what is sent on Send. The pump's group owns it; it ends
// when the hub is stopped.
func (h *Hub) runPump(p *hubPump) {
	for {
		select {
		case m, ok := <-p.send:
			if !ok {
				return // users must not close it, but a loop would be worse
			}
			h.pumpOne(m)
		case <-p.closing:
			for range len(p.send) { // and no more: a bare sender may be filling it all the time
				select {
				case m := <-p.send:
					h.pumpOne(m) // which fails, and that is told
				default:
				}
			}
			return
		}
	}
}

// pumpOne multicasts what was sent on Send.
func (h *Hub) pumpOne(m []byte) {
	if err := h.Multicast(m); err != nil {
		h.events.emit(Event{Kind: EventFailed, Err: err})
	}
}
