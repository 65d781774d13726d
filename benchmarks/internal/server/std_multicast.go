package server

import (
	"bytes"
	"context"
	"net"
)

// memberQueue is the buffer of a member's channel.
const memberQueue = 64

// coalesced bounds the bytes that a coalescing member writes at a time.
const coalesced = 64 << 10

// stdMulticast is the hub that everyone writes first: a channel per member, and
// a goroutine that writes each message to the member's connection.
func stdMulticast(ctx context.Context, c Config) (Server, error) {
	if c.Endpoint.Datagrams() {
		return stdGroup(ctx, c)
	}
	return newStdHub(ctx, c, stdStreams, (*stdMember).writeEach)
}

// coalescedMulticast is stdMulticast, except that everything in a channel goes
// out in one write.
func coalescedMulticast(ctx context.Context, c Config) (Server, error) {
	return newStdHub(ctx, c, stdStreams, (*stdMember).writeTogether)
}

// stdHub is a hub with a channel per member.
type stdHub struct {
	Server    // its connections, each of which is a member
	publisher *publisher
	members   members[*stdMember]
	quit      chan struct{} // closed by Close: ends the members
}

type stdMember struct {
	conn  net.Conn
	queue chan []byte     // from the publisher; never closed
	done  chan struct{}   // closed when queue has no more receiver
	quit  <-chan struct{} // the hub's
}

// listening starts a server that runs handle on a goroutine for each connection.
type listening func(ctx context.Context, c Config, handle func(net.Conn)) (Server, error)

func newStdHub(ctx context.Context, c Config, listen listening, write func(*stdMember)) (Server, error) {
	h := &stdHub{quit: make(chan struct{})}
	h.publisher = startPublisher(c, h.multicast)
	s, err := listen(ctx, c, func(conn net.Conn) { h.member(conn, write) })
	if err != nil {
		h.publisher.stop()
		return nil, err
	}
	h.Server = s
	return h, nil
}

// member runs on the goroutine of the connection.
func (h *stdHub) member(conn net.Conn, write func(*stdMember)) {
	m := &stdMember{conn: conn, queue: make(chan []byte, memberQueue), done: make(chan struct{}), quit: h.quit}
	h.members.add(m)
	h.publisher.enter()
	write(m)
	close(m.done)
	h.members.remove(m)
}

func (h *stdHub) multicast(message []byte) error {
	message = bytes.Clone(message)
	for _, m := range h.members.all() {
		select {
		case m.queue <- message:
		case <-m.done:
		}
	}
	return nil
}

// writeEach writes one message at a time until the connection or the hub ends.
func (m *stdMember) writeEach() {
	for {
		select {
		case message := <-m.queue:
			if _, err := m.conn.Write(message); err != nil {
				return
			}
		case <-m.quit:
			return
		}
	}
}

// writeTogether writes everything queued at once until the connection or the hub
// ends.
func (m *stdMember) writeTogether() {
	var buf []byte
	for {
		select {
		case message := <-m.queue:
			buf = m.gather(append(buf[:0], message...))
			if _, err := m.conn.Write(buf); err != nil {
				return
			}
		case <-m.quit:
			return
		}
	}
}

// gather appends what is queued to buf.
func (m *stdMember) gather(buf []byte) []byte {
	for len(buf) < coalesced {
		select {
		case message := <-m.queue:
			buf = append(buf, message...)
		default:
			return buf
		}
	}
	return buf
}

// Close ends the members, which unblocks a publisher that waits for one of them.
func (h *stdHub) Close() error {
	close(h.quit)
	err := h.Server.Close()
	h.publisher.stop()
	return err
}
