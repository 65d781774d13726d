package natsroom

import (
	"time"

	"example.com/chanio"
)

// meet introduces the source of p to the worker's filter; p, at seq in the
// stream, is the first packet of it that the worker sees. The source owes
// nothing of what it had in the stream when the room was subscribed to. meet
// tries until the server answers. It reports false if the room has ended or no
// longer wants what is read. The worker calls it.
func (r *Room) meet(p *packet, seq uint64, now time.Time) bool {
	w := &r.worker
	if p.floorAt > w.begun && p.source.made().After(w.filter.since.Add(skew)) {
		w.filter.meet(p.source, 1, now) // all is owed, even what is no longer kept
		return true
	}
	next, err := origin(p, seq, w.begun, func(from uint64) ([]stored, error) {
		for pause := minPause; ; pause = min(2*pause, maxPause) {
			got, err := r.node.stream.get(r.ctx, r.outbox.subject(), from, time.Time{}, getBatch)
			if err == nil || len(got) > 0 {
				return got, nil
			}
			if !r.pause(pause) {
				return nil, chanio.ErrClosed
			}
		}
	})
	if err != nil {
		return false
	}
	w.filter.meet(p.source, next, now)
	return true
}

// origin returns how far the source of p, which is at seq in the stream, had
// come at upTo there: the sequence of its next message. A source sends before it
// knows that the stream has what it sent earlier, and after a fault sends it all
// again, so p alone does not show it. origin therefore reads what is between p's
// floor and upTo; get reads from a given sequence.
func origin(p *packet, seq, upTo uint64, get func(from uint64) ([]stored, error)) (next uint64, err error) {
	now := time.Now()
	var f filter
	f.meet(p.source, p.floor+1, now)
	from := p.floorAt + 1
	switch {
	case p.flags&packetAgain == 0 && p.first == p.floor+1:
		return p.first, nil // nothing was in flight
	case p.floorAt >= seq:
		from = 1 // it is of a stream that no longer exists
	}
	for from <= upTo {
		batch, err := get(from)
		if err != nil {
			return 0, err
		}
		if len(batch) == 0 {
			break
		}
		for _, m := range batch {
			if from = m.seq + 1; m.seq > upTo {
				break
			}
			if before, err := parsePacket(m.data); err == nil && before.source == p.source {
				f.stored(&before, now)
			}
		}
	}
	return f.sources[p.source].next, nil
}
