// Udp_echo_server sends each datagram back to its sender unchanged. Its
// argument is the port (3333). "!" restarts it, and an empty line, the end of
// the input or Ctrl-C stops it.
package main

import (
	"context"
	"fmt"

	"example.com/chanio"
	"example.com/chanio/examples/internal/console"
)

func main() {
	args := console.Args(console.ListenPort("Server port", "3333"))
	console.Exit(run(console.Lines(), ":"+args[0]))
}

func run(lines <-chan string, address string) error {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, "udp", address, nil)
	if err != nil {
		return err
	}
	fmt.Println("Listening on", l.Addr())
	fmt.Println("Type '!' to restart the server, an empty line to stop it.")
	for {
		select {
		case s, ok := <-l.Sessions():
			if !ok {
				return l.Err()
			}
			go echo(s)
		case line, ok := <-lines:
			switch {
			case !ok:
				return l.Shutdown(ctx)
			case line == "!":
				if err := l.Restart(ctx); err != nil {
					return err
				}
				fmt.Println("Restarted")
			}
		}
	}
}

// echo serves one peer, until it has been silent for two minutes.
func echo(s *chanio.Session) {
	defer s.Close()
	fmt.Println(s.ID(), "is", s.RemoteAddr())
	for m := range s.Recv() {
		if err := s.Put(m); err != nil {
			return
		}
	}
}
