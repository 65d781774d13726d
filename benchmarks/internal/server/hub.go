package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// members is a set that is read often and changed rarely: each change makes a
// new slice, so reading takes no lock.
type members[T comparable] struct {
	mu  sync.Mutex
	set atomic.Pointer[[]T]
}

// all returns the current members. The slice must not be modified.
func (m *members[T]) all() []T {
	if p := m.set.Load(); p != nil {
		return *p
	}
	return nil
}

func (m *members[T]) add(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := append(slices.Clip(m.all()), v)
	m.set.Store(&set)
}

func (m *members[T]) remove(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set := slices.DeleteFunc(slices.Clone(m.all()), func(other T) bool { return other == v })
	m.set.Store(&set)
}

// memberQueue is the buffer of a member's channel.
const memberQueue = 64

// A hub is what everyone writes first: a channel per member, and a goroutine
// that writes each message to the member's connection.
type hub[M any] struct {
	publisher *publisher
	members   members[*member[M]]
}

type member[M any] struct {
	queue chan M        // from the publisher; never closed
	done  chan struct{} // closed when queue has no more receiver
}

// newHub returns the hub of a server that listen starts. It multicasts what
// prepare makes of a message.
func newHub[M any](c Config, prepare func([]byte) (M, error), listen func(*hub[M]) (Server, error)) (Server, error) {
	h := new(hub[M])
	publish := func(message []byte) error {
		m, err := prepare(message)
		if err == nil {
			h.multicast(m)
		}
		return err
	}
	return newPublished(c, publish, func(p *publisher) (Server, error) {
		h.publisher = p
		return listen(h)
	})
}

func (h *hub[M]) multicast(message M) {
	for _, m := range h.members.all() {
		select {
		case m.queue <- message:
		case <-m.done:
		}
	}
}

// serve writes messages, each with the queue of those after it, until that fails
// or the publisher ends.
func (h *hub[M]) serve(write func(message M, more <-chan M) error) {
	m := &member[M]{queue: make(chan M, memberQueue), done: make(chan struct{})}
	h.members.add(m)
	h.publisher.enter()
	defer h.members.remove(m)
	defer close(m.done)
	for {
		select {
		case message := <-m.queue:
			if write(message, m.queue) != nil {
				return
			}
		case <-h.publisher.quit:
			return
		}
	}
}

func clone(message []byte) ([]byte, error) { return bytes.Clone(message), nil }

// stdMulticast writes messages one by one.
func stdMulticast(ctx context.Context, c Config) (Server, error) {
	if c.Endpoint.Datagrams() {
		return stdGroup(c)
	}
	return newHub(c, clone, func(h *hub[[]byte]) (Server, error) {
		return stdStreams(ctx, c, func(conn net.Conn) {
			h.serve(func(m []byte, _ <-chan []byte) error {
				_, err := conn.Write(m)
				return err
			})
		})
	})
}

// coalescedMulticast writes everything in a member's channel at once.
func coalescedMulticast(ctx context.Context, c Config) (Server, error) {
	return newHub(c, clone, func(h *hub[[]byte]) (Server, error) {
		return stdStreams(ctx, c, func(conn net.Conn) {
			var buf []byte
			h.serve(func(m []byte, more <-chan []byte) error {
				buf = gather(append(buf[:0], m...), more)
				_, err := conn.Write(buf)
				return err
			})
		})
	})
}

// gather appends what is queued to buf.
func gather(buf []byte, queue <-chan []byte) []byte {
	const most = 64 << 10
	for len(buf) < most {
		select {
		case message := <-queue:
			buf = append(buf, message...)
		default:
			return buf
		}
	}
	return buf
}

// published is a server with a publisher.
type published struct {
	Server
	publisher *publisher
}

func (p *published) Close() error {
	p.publisher.stop()
	err := p.Server.Close()
	p.publisher.wait()
	return err
}

// newPublished returns a server that listen starts, with a publisher that calls
// multicast.
func newPublished(c Config, multicast func([]byte) error, listen func(*publisher) (Server, error)) (Server, error) {
	p := startPublisher(c, multicast)
	s, err := listen(p)
	if err != nil {
		p.stop()
		p.wait()
		return nil, err
	}
	return &published{s, p}, nil
}

// loopMulticast writes each message to one connection after another: the
// simplest fan-out.
func loopMulticast(ctx context.Context, c Config) (Server, error) {
	var all members[net.Conn]
	multicast := func(message []byte) error {
		for _, conn := range all.all() {
			if _, err := conn.Write(message); err != nil {
				all.remove(conn)
			}
		}
		return nil
	}
	return newPublished(c, multicast, func(p *publisher) (Server, error) {
		return stdStreams(ctx, c, func(conn net.Conn) {
			all.add(conn)
			p.enter()
			_, _ = io.Copy(io.Discard, conn) // until the member leaves, for whatever reason
			all.remove(conn)
		})
	})
}

// limitMulticast is not a hub but the machine's limit for a hub's work: a
// goroutine per connection that writes one prepared buffer over and over.
func limitMulticast(ctx context.Context, c Config) (Server, error) {
	message := newMessage(c.Size)
	buf := bytes.Repeat(message, max(1, (64<<10)/len(message)))
	publish := func([]byte) error { return io.EOF } // the publisher only awaits the members
	return newPublished(c, publish, func(p *publisher) (Server, error) {
		return stdStreams(ctx, c, func(conn net.Conn) {
			p.enter()
			select {
			case <-p.opened:
			case <-p.quit:
			}
			for {
				if _, err := conn.Write(buf); err != nil {
					return
				}
			}
		})
	})
}
