package main

import (
	"context"
	"fmt"

	"example.com/chanio"
)

const headline = "chanio: all members of a hub hear the same"

// dial connects all clients of a server.
func dial(ctx context.Context, network, address string, o *chanio.Options) ([]*chanio.Session, error) {
	var sessions []*chanio.Session
	for range clients {
		s, err := chanio.Dial(ctx, network, address, o)
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, s)
	}
	return sessions, nil
}

// converse sends messages, each after the answer to the one before it.
func converse(s *chanio.Session) error {
	timer := chanio.NewTimer(s.Context())
	for i := range messages {
		message := fmt.Appendf(nil, "message %d of %v", i, s.ID())
		size := len(message)
		if err := s.Put(message); err != nil {
			return err
		}
		if err := receive(s, size, timer); err != nil {
			return err
		}
	}
	return nil
}

func hearNews(s *chanio.Session) error {
	return receive(s, news*len(headline), chanio.NewTimer(s.Context()))
}

// receive waits for that many bytes: a stream may deliver them in pieces.
func receive(s *chanio.Session, bytes int, timer *chanio.Timer) error {
	timer.Reset(patience)
	for bytes > 0 {
		select {
		case m, ok := <-s.Recv():
			if !ok {
				return fmt.Errorf("%v ended: %w", s.ID(), s.Err())
			}
			bytes -= len(m)
		case e := <-timer.C():
			if !e.Canceled { // otherwise it ends the previous wait
				return fmt.Errorf("%v: nothing came for %v", s.ID(), patience)
			}
		}
	}
	return nil
}
