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

// publishing is the publishing side of a room without History.
type publishing struct {
	mu      sync.Mutex // held across Publish of nats.go, so that sequences go out in order
	next    uint64     // the sequence of the next message
	told    uint64     // the sequence that the last mark carried
	scratch []byte
}

// maxScratch bounds the buffer that a room keeps.
const maxScratch = 4 << 10

// Publish sends a copy of p to the members of the room on all nodes. Those on
// this node get it by the same route as all others; the package comment says in
// what order. The error is chanio.ErrMessageTooLarge for a message that NATS
// cannot carry and chanio.ErrClosed for a room that has ended.
//
// Without History, nil means only that the connection has the message. While the
// connection waits for the server to come back, the message waits in the
// connection's buffer; when that is full, the error is
// nats.ErrReconnectBufExceeded. After any other error of the connection it is
// unknown whether the message will arrive; it counts as published.
//
// With History, a message is resent until the server has acknowledged it, in
// this node's order; Flush waits for that. Past Options.MaxPending, Publish
// blocks for up to Options.PublishTimeout and then returns
// os.ErrDeadlineExceeded.
func (r *Room) Publish(p []byte) error {
	err := r.publish(1, messageSize(len(p)), len(p), func(b []byte) []byte { return appendMessage(b, p) })
	if err != nil {
		return fmt.Errorf("chanio: publish of %d bytes in room %q: %w", len(p), r.name, err)
	}
	return nil
}

// PublishBatch is Publish for all messages of b, in order, as one NATS message
// or as few as the server's limit allows. The caller keeps the batch and may
// release it once PublishBatch has returned. If a message is too large, nothing
// is published; after any other error the first part may have been published.
func (r *Room) PublishBatch(b *chanio.Batch) error {
	if b == nil {
		return fmt.Errorf("chanio: publish of a batch in room %q: the batch is nil", r.name)
	}
	if isClosed(r.closing) { // also if it is empty
		return fmt.Errorf("chanio: publish of a batch in room %q: %w", r.name, chanio.ErrClosed)
	}
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

// maxBody returns how many bytes the server allows for a packet's messages.
func (r *Room) maxBody() int {
	if limit := r.node.nc.MaxPayload(); limit > 0 {
		return int(min(limit, math.MaxInt32)) - maxHeader
	}
	return 1<<20 - maxHeader // never connected: the default of NATS servers
}

// publish publishes count messages, which body appends: size bytes in all, of
// which bytes are the user's.
func (r *Room) publish(count, size, bytes int, body func([]byte) []byte) error {
	if isClosed(r.closing) {
		return chanio.ErrClosed
	}
	if limit := r.maxBody(); size > limit {
		return tooLarge(limit)
	}
	if !r.live.Load() && r.hub.Len() > 0 { // members that joined before must get it
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

// publish passes p to the connection.
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
		return err // these occur before anything is sent; what is sent next takes the number
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

// marked reports whether the other nodes have yet to be told how far the room
// has come.
func (r *Room) marked() bool {
	if r.outbox != nil {
		return r.outbox.marked()
	}
	r.publishing.mu.Lock()
	defer r.publishing.mu.Unlock()
	return r.publishing.told != r.publishing.next
}

// Flush waits until the server has everything published before the call, in its
// stream with History, and until the members that this node's hub had at the
// call get everything published after it, by any node. A session that joins a
// hub without members gets it only from a moment later. Flush returns ctx's
// error if ctx ends first, and chanio.ErrClosed if the room does.
//
// Without History, what is on its way to a server when the connection is lost
// may be lost. A Flush during which that happens returns nats.ErrDisconnected. A
// later one knows nothing of it.
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
	return r.flushConn(ctx)
}

// flushConn waits until the server has what the connection was given. With
// History, only subscriptions are left to wait for, which a new connection makes
// again.
func (r *Room) flushConn(ctx context.Context) error {
	flush, cancel := context.WithTimeout(ctx, year) // nats.go insists on a deadline
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	for {
		err := r.node.nc.FlushWithContext(flush)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case isClosed(r.closing):
			return chanio.ErrClosed
		case r.node.nc.IsClosed():
			return fmt.Errorf("%w: %w", chanio.ErrClosed, err)
		case !errors.Is(err, nats.ErrConnectionClosed):
			return err
		case r.outbox == nil:
			return nats.ErrDisconnected // what nats.go calls closed is only lost
		}
	}
}

const year = 365 * 24 * time.Hour
