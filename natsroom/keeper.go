package natsroom

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// Timing of presence: Members is correct again well within 5 seconds.
const (
	heartbeat   = time.Second
	silentAfter = 3 * heartbeat
	// spacing coalesces changes: thousands of joins become a few messages.
	spacing = 20 * time.Millisecond
)

func isDeadline(err error) bool {
	return err == os.ErrDeadlineExceeded || err == context.DeadlineExceeded
}

// keep is the keeper. The node's group owns it; it ends when the node does.
func (n *node) keep() {
	defer n.bye()
	n.status = n.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer n.nc.RemoveStatusListener(n.status)
	if err := n.subscribe(); err != nil {
		n.lostConnection(err)
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var last time.Time // when it last looked
	soon := time.NewTimer(0)
	defer soon.Stop()
	waiting := true // soon is running
	for {
		alive := false
		select {
		case <-n.changed:
			if !waiting {
				waiting = true
				soon.Reset(spacing - min(time.Since(last), spacing))
			}
			continue
		case <-soon.C:
			waiting = false
		case <-beat.C:
			alive = true
			n.beat()
		case st := <-n.status:
			if st == nats.CLOSED {
				n.lostConnection(nats.ErrConnectionClosed)
				continue
			}
			n.reconnected()
		case <-n.closing:
			return
		}
		if n.nc.IsClosed() {
			n.lostConnection(nats.ErrConnectionClosed)
			continue
		}
		n.place()
		n.announce(alive)
		last = time.Now()
	}
}

// subscribe subscribes to what every node receives.
func (n *node) subscribe() (err error) {
	if n.presence, err = n.nc.ChanSubscribe(n.nodesSubject(), n.in); err != nil {
		return err
	}
	n.acks, err = n.nc.ChanSubscribe(n.ackInbox+">", n.in)
	return err
}

// bye ends the node's subscriptions and tells the other nodes.
func (n *node) bye() {
	if n.nc.IsClosed() {
		return
	}
	n.announce(false) // report the rooms that were left
	n.tell(presence{flags: presenceBye})
	for _, sub := range []*nats.Subscription{n.presence, n.acks} {
		if sub != nil {
			sub.Unsubscribe() // it fails only if the connection is closed
		}
	}
}

// lostConnection ends the rooms: the connection is closed permanently.
func (n *node) lostConnection(err error) {
	n.heardSelf.Do(func() { close(n.ready) }) // and Join finds it closed
	for _, r := range n.roomsNow() {
		r.stop(fmt.Errorf("chanio: room %q: %w: %w", r.name, chanio.ErrClosed, err))
	}
}

// reconnected makes up for what may have been missed.
func (n *node) reconnected() {
	n.mu.Lock()
	n.reset, n.askAll = true, true
	n.mu.Unlock()
	if n.checkStored() != nil {
		return // the next heartbeat tries again
	}
	for _, r := range n.roomsNow() {
		if r.outbox != nil {
			r.outbox.resend()
		}
	}
}

// beat does the work of each heartbeat.
func (n *node) beat() {
	now := time.Now()
	if now.Sub(n.told) >= silentAfter { // the process was stopped: the others have forgotten it
		n.mu.Lock()
		n.reset, n.askAll = true, true
		n.mu.Unlock()
	}
	if n.forgetSilent(now) || n.stream.stale() {
		n.checkStored() // if it fails, the stream stays stale
	}
	for _, r := range n.roomsNow() {
		if r.outbox != nil {
			r.outbox.beat(now)
		}
		if r.resync.Swap(false) {
			n.mu.Lock()
			n.asks[r.name] = struct{}{}
			n.mu.Unlock()
		}
		if r.marked() {
			n.mu.Lock()
			n.dirty[r] = struct{}{}
			n.mu.Unlock()
		}
	}
}

// lastStored is stream.last. If the stream is a new one, or has lost its end with
// its server's power, rooms forget the positions that it no longer has.
func (n *node) lastStored() (uint64, error) {
	var rooms []*Room
	var known uint64
	for _, r := range n.roomsNow() {
		if r.outbox != nil {
			rooms = append(rooms, r)
			known = max(known, r.outbox.stored())
		}
	}
	if time.Since(n.told) >= heartbeat/2 && n.nc.IsConnected() {
		// The others must not forget this node before the stream answers. They are
		// told of no marks: the stream may have lost those positions.
		n.tell(presence{})
	}
	before, reconnects := n.stream.epoch.Load(), n.nc.Stats().Reconnects
	last, err := n.stream.last()
	if err != nil {
		return 0, err
	}
	n.checked = reconnects
	keep := last
	if before != n.stream.epoch.Load() {
		keep = 0
	}
	if keep < known {
		for _, r := range rooms {
			r.outbox.streamLost(keep)
		}
	}
	return last, nil
}

// checkStored makes all rooms with History look for what they missed, if the
// stream answers.
func (n *node) checkStored() error {
	if !n.stream.ready.Load() {
		return nil // no room has History
	}
	asked := time.Now()
	last, err := n.lastStored()
	if err != nil {
		return err
	}
	for _, r := range n.roomsNow() {
		if r.outbox != nil {
			r.inbox.push(item{do: func() { r.lookBehind(last, asked) }}, r.work)
		}
	}
	return nil
}

// place subscribes for rooms that now have members and unsubscribes for rooms
// that have none any more.
func (n *node) place() {
	var stored []*Room // rooms that need their position in the stream
	for _, r := range n.roomsNow() {
		members := uint64(r.hub.Len())
		if members != r.told || !r.toldAny {
			r.told, r.toldAny = members, true
			n.mu.Lock()
			n.dirty[r] = struct{}{}
			n.mu.Unlock()
		}
		switch wanted := r.wanted(); {
		case wanted && !r.inbox.placed():
			if err := n.placeRoom(r); err != nil {
				r.failed(err)
				continue
			}
			if r.outbox != nil {
				stored = append(stored, r)
			}
		case wanted && r.outbox != nil && !r.live.Load():
			stored = append(stored, r) // the stream did not answer
		case !wanted && r.inbox.placed():
			n.unplace(r)
		}
	}
	if len(stored) == 0 {
		return
	}
	last, err := n.lastStored()
	if err != nil {
		return // the next heartbeat tries again
	}
	for _, r := range stored {
		r.begin(last)
	}
}

// placeRoom subscribes for r.
func (n *node) placeRoom(r *Room) error {
	n.mu.Lock()
	if n.rooms[r.name] != r { // it was left
		n.mu.Unlock()
		return nil
	}
	n.asks[r.name] = struct{}{} // the others' marks say where they are
	n.mu.Unlock()
	r.inbox.opening()
	sub, err := n.nc.ChanSubscribe(r.subject, n.in)
	if err != nil {
		r.inbox.unsubscribe(r.work)
		return fmt.Errorf("subscription to %q: %w", r.subject, err)
	}
	if !r.inbox.subscribed(sub) {
		sub.Unsubscribe() // the room has ended
		return nil
	}
	if r.outbox == nil {
		r.begin(0)
	}
	return nil
}

// unplace unsubscribes for r.
func (n *node) unplace(r *Room) {
	r.setLive(false)
	sub := r.inbox.unsubscribe(r.work)
	if sub == nil {
		return
	}
	if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		r.failed(fmt.Errorf("end of the subscription to %q: %w", r.subject, err))
	}
}

// begin starts passing on what arrives for r: with History, what is after last.
func (r *Room) begin(last uint64) {
	now, epoch := time.Now(), r.node.stream.epoch.Load()
	r.inbox.release(item{do: func() { r.worker.begin(last, epoch, now) }}, r.work)
	r.setLive(true)
}
