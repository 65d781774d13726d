package natsroom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
)

// publishing is what a room without History publishes.
type publishing struct {
	mu      sync.Mutex // held across Publish of nats.go, so that sequences go out in order
	next    uint64     // the sequence of the next message
	told    uint64     // what the last mark said
	scratch []byte
}

// maxScratch bounds the buffer that a room keeps.
const maxScratch = 4 << 10

// Publish sends a copy of p to the members of the room on all nodes; those on
// this node get it the way of the others, so that all see one order. A message
// that NATS cannot carry is chanio.ErrMessageTooLarge; a room that has ended is
// chanio.ErrClosed.
//
// Without History a message is given to the connection: nil says no more than
// that. Where that has to wait for the server to come back, as far as the
// connection's buffer goes, so does the message; past it the error is
// nats.ErrReconnectBufExceeded. With any other error of the connection it is not
// known whether the message will arrive; it counts as published.
//
// With History a message is sent until the server has acknowledged it, which
// Flush waits for, in the order of this node; past Options.MaxPending Publish
// waits, for Options.PublishTimeout, then it is os.ErrDeadlineExceeded.
func (r *Room) Publish(p []byte) error {
	err := r.publish(1, messageSize(len(p)), len(p), func(b []byte) []byte { return appendMessage(b, p) })
	if err != nil {
		return fmt.Errorf("chanio: publish of %d bytes in room %q: %w", len(p), r.name, err)
	}
	return nil
}

// PublishBatch is Publish of all messages of b, in its order, as one NATS
// message, or as few as the server's limit allows. The batch stays the caller's,
// who may release it when PublishBatch has returned. If a message is too large
// nothing is published; after any other error the first part may have been.
func (r *Room) PublishBatch(b *chanio.Batch) error {
	limit := r.maxBody()
	for i, m := range b.All() {
		if messageSize(len(m)) > limit {
			return fmt.Errorf("chanio: publish of a batch in room %q: message %d of %d bytes: %w", r.name, i, len(m), tooLarge(limit))
		}
	}
	for from := 0; from < b.Len(); {
		to, size, bytes := from, 0, 0
		for to < b.Len() {
			n := len(b.At(to))
			if size+messageSize(n) > limit && to > from {
				break
			}
			size += messageSize(n)
			bytes += n
			to++
		}
		err := r.publish(to-from, size, bytes, func(dst []byte) []byte {
			for i := from; i < to; i++ {
				dst = appendMessage(dst, b.At(i))
			}
			return dst
		})
		if err != nil {
			return fmt.Errorf("chanio: publish of messages %d to %d of a batch in room %q: %w", from, to-1, r.name, err)
		}
		from = to
	}
	return nil
}

func tooLarge(limit int) error {
	return fmt.Errorf("%w: the NATS server's limit is %d bytes for a message and what goes with it", chanio.ErrMessageTooLarge, limit)
}

// maxBody is how much the server lets a packet's messages take.
func (r *Room) maxBody() int {
	if limit := r.node.nc.MaxPayload(); limit > 0 {
		return int(min(limit, math.MaxInt32)) - maxHeader
	}
	return 1<<20 - maxHeader // never connected: what servers allow by default
}

// publish publishes count messages, which body appends: size bytes, of which
// bytes are the user's.
func (r *Room) publish(count, size, bytes int, body func([]byte) []byte) error {
	if isClosed(r.closing) {
		return chanio.ErrClosed
	}
	if limit := r.maxBody(); size > limit {
		return tooLarge(limit)
	}
	if !r.live.Load() && r.hub.Len() > 0 { // members that joined before are to get it
		ctx, cancel := context.WithTimeoutCause(context.Background(), r.set.PublishTimeout, &timeoutError{"PublishTimeout", r.set.PublishTimeout})
		defer cancel()
		if err := r.awaitLive(ctx); err != nil {
			return err
		}
	}
	p := &packet{source: r.source, count: count}
	var err error
	if r.outbox != nil {
		err = r.outbox.publish(p, size, body)
	} else {
		err = r.publishing.publish(r, p, body)
	}
	if err == nil {
		r.counts.published.Add(int64(count))
		r.counts.publishedBytes.Add(int64(bytes))
	}
	return err
}

// publish gives p to the connection.
func (c *publishing) publish(r *Room, p *packet, body func([]byte) []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.first = c.next
	b := body(p.appendHeader(c.scratch[:0]))
	c.scratch = nil
	if cap(b) <= maxScratch {
		c.scratch = b
	}
	err := r.node.nc.Publish(r.subject, b)
	switch {
	case err == nil:
	case errors.Is(err, nats.ErrMaxPayload):
		return tooLarge(r.maxBody())
	case errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrConnectionDraining):
		return err // these come before anything is sent, and what is sent next takes the number
	}
	c.next += uint64(p.count)
	return err
}

// mark returns the sequence of the next message.
func (c *publishing) mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = c.next
	return c.next
}

// marked reports whether the others have not been told yet how far the room has
// come.
func (r *Room) marked() bool {
	if r.outbox != nil {
		return r.outbox.marked()
	}
	r.publishing.mu.Lock()
	defer r.publishing.mu.Unlock()
	return r.publishing.told != r.publishing.next
}

// Flush returns nil when the server has all that was published before it, with
// History in its stream, and the members that this node's hub had when it was
// called get all that is published after it, by whichever node: a session that
// joins a hub without members gets it from a moment later only. It returns ctx's
// error when ctx ends first.
func (r *Room) Flush(ctx context.Context) error {
	err := r.flush(ctx)
	if err != nil {
		return fmt.Errorf("chanio: flush of room %q: %w", r.name, err)
	}
	return nil
}

func (r *Room) flush(ctx context.Context) error {
	if isClosed(r.closing) {
		return chanio.ErrClosed
	}
	if err := r.awaitLive(ctx); err != nil {
		return err
	}
	if r.outbox != nil {
		if err := r.outbox.flush(ctx); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, year) // nats.go insists on a deadline
	defer cancel()
	return r.node.nc.FlushWithContext(ctx)
}

const year = 365 * 24 * time.Hour
