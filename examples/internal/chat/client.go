package chat

import (
	"context"
	"fmt"
	"time"

	"example.com/chanio"
)

// Connect talks to the server at address and reconnects a second after losing
// it. It prints what arrives. A typed line is sent without a line end, as
// CppServer's clients do, "!" reconnects, and the end of lines stops the
// client.
func Connect(lines <-chan string, network, address string, o chanio.Options) error {
	o.Backoff = chanio.Backoff{Min: time.Second, Max: time.Second, Jitter: -1}
	c := chanio.Connect(context.Background(), network, address, &o)
	defer c.Close()
	fmt.Println("Type a message to send it, '!' to reconnect, an empty line to stop.")

	var s *chanio.Session      // nil while there is no connection
	var incoming <-chan []byte // s.Recv; nil, which is never ready, without s
	for {
		select {
		case next, ok := <-c.Sessions():
			if !ok {
				return c.Err()
			}
			s, incoming = next, next.Recv()
			fmt.Println(s.ID(), reaches(network), s.RemoteAddr())
		case m, ok := <-incoming:
			if !ok {
				leave(s)
				s, incoming = nil, nil
				continue
			}
			fmt.Printf("%s\n", text(m))
		case e := <-c.Events():
			if e.Kind == chanio.EventFailed {
				fmt.Println("Failed:", e.Err)
			}
		case line, ok := <-lines:
			switch {
			case !ok:
				if s != nil {
					leave(s) // sends what was typed last
				}
				return nil
			case line == "!":
				c.Reconnect()
			case s == nil:
				fmt.Println("Not connected")
			default:
				if err := s.Put([]byte(line)); err != nil {
					fmt.Println("Not sent:", err)
				}
			}
		}
	}
}

// reaches says what a session of that network has done: over udp it does not
// know whether there is a server.
func reaches(network string) string {
	if network == "udp" {
		return "sends to"
	}
	return "connected to"
}
