package server

import (
	"context"
	"io"
	"net"
)

// loopMulticast writes each message to one connection after another: the
// simplest fan-out.
func loopMulticast(ctx context.Context, c Config) (Server, error) {
	h := new(loopHub)
	h.publisher = startPublisher(c, h.multicast)
	s, err := stdStreams(ctx, c, h.member)
	if err != nil {
		h.publisher.stop()
		return nil, err
	}
	h.Server = s
	return h, nil
}

type loopHub struct {
	Server    // its connections, each of which is a member
	publisher *publisher
	members   members[net.Conn]
}

// member runs on the goroutine of the connection.
func (h *loopHub) member(conn net.Conn) {
	h.members.add(conn)
	h.publisher.enter()
	_, _ = io.Copy(io.Discard, conn) // until the member leaves, for whatever reason
	h.members.remove(conn)
}

func (h *loopHub) multicast(message []byte) error {
	for _, conn := range h.members.all() {
		if _, err := conn.Write(message); err != nil {
			h.members.remove(conn)
		}
	}
	return nil
}

func (h *loopHub) Close() error {
	err := h.Server.Close()
	h.publisher.stop()
	return err
}
