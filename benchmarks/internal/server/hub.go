package server

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync"
)

// members is a set that is read often and changed rarely: each change makes a
// new slice, so reading takes no lock for long.
type members[T comparable] struct {
	mu  sync.Mutex
	set []T // never modified
}

// all returns the current members. The slice must not be modified.
func (m *members[T]) all() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set
}

func (m *members[T]) add(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set = append(slices.Clip(m.set), v)
}

func (m *members[T]) remove(v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set = slices.DeleteFunc(slices.Clone(m.set), func(other T) bool { return other == v })
}

// memberQueue is the buffer of a member's channel.
const memberQueue = 64

// A hub is the usual first design: a channel per member, and a goroutine
// that writes each message to the member's connection.
type hub[M any] struct {
	*publisher
	members members[*member[M]]
}

type member[M any] struct {
	queue chan M        // from the publisher; never closed
	done  chan struct{} // closed when queue has no more receiver
}

// newHub returns the hub of a server. It multicasts what prepare makes of a
// message.
func newHub[M any](s *Server, prepare func([]byte) (M, error)) *hub[M] {
	h := new(hub[M])
	h.publisher = s.publish(func(message []byte) error {
		prepared, err := prepare(message)
		if err != nil {
			return err
		}
		for _, m := range h.members.all() {
			select {
			case m.queue <- prepared:
			case <-m.done:
			}
		}
		return nil
	})
	return h
}

// serve writes messages, each with the queue of those after it, until that fails
// or the server closes.
func (h *hub[M]) serve(write func(message M, more <-chan M) error) {
	m := &member[M]{queue: make(chan M, memberQueue), done: make(chan struct{})}
	h.members.add(m)
	h.enter()
	defer h.members.remove(m)
	defer close(m.done)
	for {
		select {
		case message := <-m.queue:
			if write(message, m.queue) != nil {
				return
			}
		case <-h.ctx.Done():
			return
		}
	}
}

func clone(message []byte) ([]byte, error) { return bytes.Clone(message), nil }

// stdMulticast writes messages one by one.
func stdMulticast(s *Server) error {
	if s.config.Datagrams() {
		return stdGroup(s)
	}
	h := newHub(s, clone)
	return s.serveStreams(func(conn net.Conn) {
		h.serve(func(m []byte, _ <-chan []byte) error {
			_, err := conn.Write(m)
			return err
		})
	})
}

// coalescedMulticast writes everything in a member's channel at once.
func coalescedMulticast(s *Server) error {
	h := newHub(s, clone)
	return s.serveStreams(func(conn net.Conn) {
		var buf []byte
		h.serve(func(m []byte, more <-chan []byte) error {
			buf = gather(append(buf[:0], m...), more)
			_, err := conn.Write(buf)
			return err
		})
	})
}

// gather appends what is queued to buf.
func gather(buf []byte, queue <-chan []byte) []byte {
	for len(buf) < stdBuffer {
		select {
		case message := <-queue:
			buf = append(buf, message...)
		default:
			return buf
		}
	}
	return buf
}

// loopMulticast writes each message to one connection after another: the
// simplest fan-out.
func loopMulticast(s *Server) error {
	var all members[net.Conn]
	p := s.publish(func(message []byte) error {
		for _, conn := range all.all() {
			if _, err := conn.Write(message); err != nil {
				all.remove(conn)
			}
		}
		return nil
	})
	return s.serveStreams(func(conn net.Conn) {
		all.add(conn)
		p.enter()
		_, _ = io.Copy(io.Discard, conn) // until the member leaves, for whatever reason
		all.remove(conn)
	})
}

// limitMulticast is not a hub but the machine's limit for a hub's work: a
// goroutine per connection that writes one prepared buffer over and over.
func limitMulticast(s *Server) error {
	message := s.config.Message()
	buf := bytes.Repeat(message, max(1, stdBuffer/len(message)))
	p := s.publish(func([]byte) error { return io.EOF }) // it only awaits the members
	return s.serveStreams(func(conn net.Conn) {
		p.enter()
		select {
		case <-p.opened:
		case <-p.ctx.Done():
		}
		for {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	})
}
