package natsroom

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// deliveryState is the position of a room's worker. Only the worker uses it.
type deliveryState struct {
	filter filter
	begun  uint64 // History: everything up to here in the stream is ignored
	last   uint64 // History: everything up to here in the stream is delivered or ignored
	epoch  int64  // History: which stream that is
}

// begin forgets what arrived before the subscription; with History, the stream up
// to last is ignored.
func (d *deliveryState) begin(last uint64, epoch int64, now time.Time) {
	*d = deliveryState{filter: filter{since: now}, begun: last, last: last, epoch: epoch}
}

// arrived accepts a message that NATS delivered. The dispatcher calls it.
func (r *Room) arrived(m *nats.Msg) {
	if r.inbox.push(item{msg: m}, r.work) || r.outbox == nil {
		return // what does not fit is missed when the next message or mark arrives
	}
	if seq, _, err := sequences(m); err == nil {
		r.inbox.skip(seq)
	}
}

// work is the room's worker. The inbox's group owns it; it ends when there is no
// more to do.
func (r *Room) work() {
	var items []item
	for {
		if items = r.inbox.take(items); items == nil {
			return
		}
		for i := range items {
			r.handle(&items[i])
		}
		if r.outbox != nil {
			if seq := r.inbox.skippedUpTo(); seq > r.worker.last {
				r.catchUp(seq)
			}
		}
	}
}

func (r *Room) handle(i *item) {
	switch {
	case isClosed(r.closing):
	case i.do != nil:
		i.do()
	case i.msg == nil && r.outbox != nil:
		if i.mark > r.worker.last {
			r.catchUp(i.mark)
		}
	case i.msg == nil:
		if n := r.worker.filter.mark(i.source, i.mark, time.Now()); n > 0 {
			r.missing(n, i.source, "the last that it published did not arrive")
		}
	case r.outbox != nil:
		r.handleStored(i.msg)
	default:
		r.deliver(i.msg.Data, 0)
	}
}

// handleStored processes a message that the stream republished.
func (r *Room) handleStored(m *nats.Msg) {
	seq, before, err := sequences(m)
	if err != nil {
		r.failed(err)
		return
	}
	if before > r.worker.last {
		r.catchUp(before)
	}
	// What catchUp delivered already is dropped by the filter. It is not enough to
	// compare sequences, as a stream that lost its end gives them out again.
	if seq > r.worker.begun {
		r.worker.last = max(r.worker.last, seq)
		r.deliver(m.Data, seq)
	}
}

// sequences returns the sequence of m in the stream and that of the message
// before it on the same subject.
func sequences(m *nats.Msg) (seq, before uint64, err error) {
	seq, err = strconv.ParseUint(m.Header.Get(nats.JSSequence), 10, 64)
	if err == nil {
		before, err = strconv.ParseUint(m.Header.Get(nats.JSLastSequence), 10, 64)
	}
	if err != nil {
		err = fmt.Errorf("message on %q without a sequence: %w", m.Subject, err)
	}
	return seq, before, err
}

// deliver multicasts the messages of b that pass the filter. With History, b is
// at seq in the stream.
func (r *Room) deliver(b []byte, seq uint64) {
	p, err := parsePacket(b)
	if err != nil {
		r.failed(err)
		return
	}
	f, now, why := &r.worker.filter, time.Now(), "they were lost on the way"
	var repeated int
	var missing uint64
	if r.outbox == nil {
		repeated, missing = f.live(&p, now)
	} else {
		if !f.knows(p.source) && !r.meet(&p, seq, now) {
			return
		}
		repeated, missing = f.stored(&p, now)
		why = "they are kept no longer"
	}
	if missing > 0 {
		r.missing(missing, p.source, why)
	}
	if repeated == p.count {
		return
	}
	r.multicast(&p, repeated)
	for _, replay := range r.replays {
		replay.note(p, repeated)
	}
}

// multicast passes the messages of p except the first skip to the hub: as one
// batch, or one by one if the hub refuses some.
func (r *Room) multicast(p *packet, skip int) {
	if p.count-skip > 1 {
		b := chanio.NewBatch()
		for m := range p.messages(skip) {
			b.Append(m)
		}
		err, n, size := r.hub.MulticastBatch(b), b.Len(), b.Size()
		b.Release()
		if err == nil {
			r.counts.received.Add(int64(n))
			r.counts.receivedBytes.Add(int64(size))
			return
		}
	}
	var refused uint64
	var why error
	for m := range p.messages(skip) {
		switch err := r.hub.Multicast(m); {
		case err == nil:
			r.counts.received.Add(1)
			r.counts.receivedBytes.Add(int64(len(m)))
		case errors.Is(err, chanio.ErrClosed):
			return // a closed hub has no members
		default:
			refused++
			why = err
		}
	}
	if refused > 0 {
		r.failed(why)
		r.missing(refused, p.source, "the hub refused them")
	}
}
