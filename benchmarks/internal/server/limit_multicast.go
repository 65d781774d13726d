package server

import (
	"bytes"
	"context"
	"net"
)

// limitBuffer is the size of the writes of limitMulticast.
const limitBuffer = 64 << 10

// limitMulticast is not a hub but the machine's limit for a hub's work: a
// goroutine per connection that writes one prepared buffer over and over.
func limitMulticast(ctx context.Context, c Config) (Server, error) {
	message := newMessage(c.Size)
	buf := bytes.Repeat(message, max(1, limitBuffer/len(message)))
	g, gone := newGate(c.Members), make(chan struct{})
	s, err := stdStreams(ctx, c, func(conn net.Conn) {
		g.enter()
		select {
		case <-g.opened:
		case <-gone:
		}
		for {
			if _, err := conn.Write(buf); err != nil {
				return
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return &limitServer{s, gone}, nil
}

type limitServer struct {
	Server               // its connections
	gone   chan struct{} // closed by Close: ends the wait for members
}

func (s *limitServer) Close() error {
	close(s.gone)
	return s.Server.Close()
}
