package natsroom

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/chanio"
)

// A replay is a call of Replay. It sends through a hub of the session's own, so
// that the session can move to the room's hub without a gap: see seam.
type replay struct {
	room    *Room
	session *chanio.Session
	past    *chanio.Hub
	filter  filter
	start   uint64 // nothing before here in the stream is part of the replay
	at      uint64 // everything up to here in the stream is in past

	// The worker's: what it has delivered to the room since tee.
	pending []piece
	bytes   int
	lost    bool // there was too much
}

// A piece is the part of a packet that the worker delivered: all but the first
// skip messages.
type piece struct {
	packet packet
	skip   int
	seq    uint64 // in the stream
}

const (
	// seamBytes is how much may be left for the room's worker to send when it
	// closes the seam. A hub takes that much without blocking.
	seamBytes = 256 << 10
	// maxRounds bounds how often a session may fail to catch up with its room.
	maxRounds = 64
)

// Replay sends s what was published in the room before, as far as the stream has
// kept it, and then makes s a member of the hub. The session gets each message
// once, in the room's order, with none missing in between. Use Replay instead of
// hub.Join, for a session that is not a member.
//
// last bounds how many messages of the past s gets: the newest ones. since
// bounds how old they may be, by the server's clock. 0 and the zero time mean no
// bound. Replay returns nil once s is a member, which is after it has received
// its past at its own pace. The error is errors.ErrUnsupported without
// Options.History, chanio.ErrClosed if the session or the room has ended,
// chanio.ErrLagged if the session is slower than the room, and
// os.ErrDeadlineExceeded if the server does not answer for Options.JoinTimeout.
// A message that the session's framing refuses is skipped and is an EventFailed,
// as it is to members. After an error the session is not a member and may have
// received part of its past.
func (r *Room) Replay(s *chanio.Session, last int, since time.Time) error {
	if err := r.replay(s, last, since); err != nil {
		return fmt.Errorf("chanio: replay of room %q: %w", r.name, err)
	}
	return nil
}

func (r *Room) replay(s *chanio.Session, last int, since time.Time) error {
	switch {
	case r.outbox == nil:
		return fmt.Errorf("it has no Options.History: %w", errors.ErrUnsupported)
	case s == nil:
		return errors.New("the session is nil")
	case last < 0:
		return fmt.Errorf("last is %d, and must not be negative", last)
	}
	for member := range r.hub.All() {
		if member == s {
			return errors.New("the session is a member already")
		}
	}
	ctx, cancel := context.WithCancelCause(s.Context())
	defer cancel(nil)
	stop := context.AfterFunc(r.ctx, func() { cancel(chanio.ErrClosed) })
	defer stop()
	r.pins.Add(1) // keeps the room subscribed from now on
	defer func() { r.pins.Add(-1); r.node.look() }()
	waiting, waited := context.WithTimeoutCause(ctx, r.set.JoinTimeout, &timeoutError{"JoinTimeout", r.set.JoinTimeout})
	err := r.awaitLive(waiting)
	waited()
	if err != nil {
		return err
	}
	past := chanio.NewHub(ctx, &chanio.Options{Lag: chanio.LagBlock})
	defer past.Close()
	if err := past.JoinAfter(s, r.hub); err != nil {
		return err
	}
	p := &replay{room: r, session: s, past: past}
	defer r.inbox.push(item{do: p.drop}, r.work)
	return p.run(ctx, last, since)
}

// run sends the past and what arrived meanwhile, until so little is left that
// the worker can close the seam.
func (p *replay) run(ctx context.Context, last int, since time.Time) error {
	for round := range maxRounds {
		var from uint64
		if err := p.onWorker(ctx, func() { from = p.tee() }); err != nil {
			return err
		}
		var err error
		if round == 0 {
			err = p.sendPast(ctx, last, since, from)
		} else {
			err = p.read(ctx, p.at+1, time.Time{}, from, p.pass)
		}
		if err != nil {
			return err
		}
		p.at = max(p.at, from)
		for lost := false; !lost; {
			if err := p.past.Flush(ctx); err != nil {
				return ended(ctx, err)
			}
			var joined bool
			var rest []piece
			if err := p.onWorker(ctx, func() { joined, lost, rest, err = p.seam() }); err != nil {
				return err
			}
			if joined || err != nil {
				return err
			}
			if err := p.send(rest); err != nil {
				return ended(ctx, err)
			}
		}
	}
	return chanio.ErrLagged
}

// ended returns why ctx has ended, or err if it has not.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", chanio.ErrClosed, cause)
	}
	return err
}

// onWorker makes the room's worker run fn and waits for it.
func (p *replay) onWorker(ctx context.Context, fn func()) error {
	done := make(chan struct{})
	p.room.inbox.push(item{do: func() { fn(); close(done) }}, p.room.work)
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ended(ctx, ctx.Err())
	}
}

// tee makes the worker record what it delivers from now on. It returns the last
// sequence of the stream that the worker has delivered. The worker calls it.
func (p *replay) tee() uint64 {
	p.pending, p.bytes, p.lost = nil, 0, false
	if !slices.Contains(p.room.replays, p) {
		p.room.replays = append(p.room.replays, p)
	}
	return p.room.worker.last
}

// drop undoes tee. The worker calls it.
func (p *replay) drop() {
	if i := slices.Index(p.room.replays, p); i >= 0 {
		p.room.replays = slices.Delete(p.room.replays, i, i+1)
	}
	p.pending = nil
}

// note records what was delivered. The worker calls it.
func (p *replay) note(packet packet, skip int) {
	if p.lost {
		return
	}
	p.pending = append(p.pending, piece{packet, skip, p.room.worker.last})
	if p.bytes += itemSize + len(packet.body); p.bytes > p.room.set.MaxPending {
		p.pending, p.bytes, p.lost = nil, 0, true
	}
}

// seam makes the session a member of the room if little is left to send to it.
// Otherwise it returns the rest, or reports that it was lost. The worker calls
// it, so the room delivers nothing meanwhile.
func (p *replay) seam() (joined, lost bool, rest []piece, err error) {
	switch {
	case p.lost:
		return false, true, nil, nil
	case p.bytes > seamBytes:
		rest = p.pending
		p.pending, p.bytes = nil, 0
		return false, false, rest, nil
	}
	if err := p.send(p.pending); err != nil { // never blocks: past was flushed
		return false, false, nil, err
	}
	p.drop()
	if err := p.room.hub.JoinAfter(p.session, p.past); err != nil {
		return false, false, nil, err
	}
	return true, false, nil, nil
}

// send multicasts pieces to the session.
func (p *replay) send(pieces []piece) error {
	for i := range pieces {
		p.filter.passed(&pieces[i].packet, time.Now())
		for m := range pieces[i].packet.messages(pieces[i].skip) {
			if err := p.pass(m); err != nil {
				return err
			}
		}
		p.at = pieces[i].seq
	}
	return nil
}

// pass sends m to the session. What the session cannot be sent, it misses as
// members do: one such message must not keep all that replay its room out.
func (p *replay) pass(m []byte) error {
	err := p.past.Multicast(m)
	if err == nil || errors.Is(err, chanio.ErrClosed) {
		return err
	}
	p.room.failed(fmt.Errorf("replay to session %v: %w", p.session.ID(), err))
	return nil
}

// sendPast sends what the stream has up to upTo, none older than since: the last
// messages, or all if last is 0.
func (p *replay) sendPast(ctx context.Context, last int, since time.Time, upTo uint64) error {
	p.start = upTo + 1
	first, err := p.get(ctx, 0, since, 1)
	if err != nil || len(first) == 0 || first[0].seq > upTo {
		return err
	}
	start := first[0].seq
	if p.start = start; last == 0 {
		return p.read(ctx, start, since, upTo, p.pass)
	}
	// In a stream of many rooms it is unknown where the last messages begin, so
	// look ever further back. A packet has at least one message.
	for reach := uint64(last); ; reach *= 4 {
		from := start
		if upTo > start && reach < upTo-start && first[0].pending >= uint64(last) {
			from = upTo - reach
		}
		var tail [][]byte
		p.filter, p.start = filter{}, from
		err := p.read(ctx, from, since, upTo, func(m []byte) error {
			if len(tail) == 2*last {
				tail = append(tail[:0], tail[last:]...)
			}
			tail = append(tail, m)
			return nil
		})
		if err != nil {
			return err
		}
		if len(tail) < last && from > start {
			continue
		}
		for _, m := range tail[max(len(tail)-last, 0):] {
			if err := p.pass(m); err != nil {
				return err
			}
		}
		return nil
	}
}

// read reads what the stream has from sequence from to upTo, none older than
// since, and passes each message to emit.
func (p *replay) read(ctx context.Context, from uint64, since time.Time, upTo uint64, emit func([]byte) error) error {
	for from <= upTo {
		batch, err := p.get(ctx, from, time.Time{}, getBatch)
		if err != nil || len(batch) == 0 {
			return err
		}
		for _, m := range batch {
			if m.seq > upTo {
				return nil
			}
			from = m.seq + 1
			packet, err := parsePacket(m.data)
			if err != nil {
				continue // the room's worker reports it
			}
			if err := p.meet(ctx, &packet, m.seq); err != nil {
				return err
			}
			repeated, _ := p.filter.stored(&packet, time.Now())
			if m.time.Before(since) {
				continue
			}
			for message := range packet.messages(repeated) {
				if err := emit(message); err != nil {
					return ended(ctx, err)
				}
			}
		}
	}
	return nil
}

// meet introduces the source of packet, which is at seq in the stream, to p's
// filter.
func (p *replay) meet(ctx context.Context, packet *packet, seq uint64) error {
	if p.filter.knows(packet.source) {
		return nil
	}
	next, err := origin(packet, seq, p.start-1, func(from uint64) ([]stored, error) {
		return p.get(ctx, from, time.Time{}, getBatch)
	})
	if err == nil {
		p.filter.meet(packet.source, next, time.Now())
	}
	return err
}

// get is stream.get for the room, retried for JoinTimeout.
func (p *replay) get(ctx context.Context, seq uint64, start time.Time, batch int) ([]stored, error) {
	limit := p.room.set.JoinTimeout
	until := time.Now().Add(limit)
	for {
		got, err := p.room.node.stream.get(ctx, p.room.outbox.subject(), seq, start, batch)
		switch {
		case err == nil || len(got) > 0:
			return got, nil
		case ctx.Err() != nil:
			return nil, ended(ctx, err)
		case time.Now().After(until):
			return nil, fmt.Errorf("%w: %w", &timeoutError{"JoinTimeout", limit}, err)
		}
		if !p.room.pause(minPause) {
			return nil, chanio.ErrClosed
		}
	}
}
