// Package chat is what the chat programs of all transports share.
package chat

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"example.com/chanio"
)

const greeting = "Hello! Type a message for everybody, or '!' to disconnect.\n"

// Serve runs a chat room on address: all clients hear what one says, unchanged.
// Sessions are raw streams, like CppServer's, whose clients send text without a
// line end; nc sends lines. A typed line goes to everyone, "!" restarts the
// server, and the end of lines stops it.
func Serve(lines <-chan string, network, address string, o chanio.Options) error {
	ctx := context.Background()
	l, err := chanio.Listen(ctx, network, address, &o)
	if err != nil {
		return err
	}
	fmt.Println("Listening on", l.Addr())
	fmt.Println("Type a message for everybody, '!' to restart the server, an empty line to stop it.")

	var handlers sync.WaitGroup
	defer handlers.Wait()
	defer l.Close() // before the wait, whatever ends the loop
	for {
		select {
		case s, ok := <-l.Sessions():
			if !ok {
				return l.Err()
			}
			handlers.Go(func() { handle(l, s) })
		case e := <-l.Events():
			if e.Kind == chanio.EventFailed {
				fmt.Println("Failed:", e.Err)
			}
		case line, ok := <-lines:
			switch {
			case !ok:
				fmt.Println("Stopping")
				return l.Shutdown(ctx)
			case line == "!":
				if err := l.Restart(ctx); err != nil {
					return err
				}
				fmt.Println("Restarted")
			default:
				if err := l.Multicast([]byte("(admin) " + line + "\n")); err != nil {
					fmt.Println("Not sent:", err)
				}
			}
		}
	}
}

// handle forwards what s says until it leaves.
func handle(l *chanio.Listener, s *chanio.Session) {
	defer leave(s)
	fmt.Println(s.ID(), "connected from", s.RemoteAddr())
	if err := s.Put([]byte(greeting)); err != nil {
		return
	}
	for m := range s.Recv() {
		said := text(m)
		fmt.Printf("%v says: %s\n", s.ID(), said)
		if string(said) == "!" {
			return
		}
		if err := l.Multicast(m); err != nil {
			return
		}
	}
}

// text returns m without its line end, if it has one. Server and client use it.
func text(m []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(m, []byte("\n")), []byte("\r"))
}

// leave ends s and says so. Server and client use it.
func leave(s *chanio.Session) {
	s.Close()
	if err := s.Err(); err != nil {
		fmt.Println(s.ID(), "failed:", err)
		return
	}
	fmt.Println(s.ID(), "disconnected")
}
