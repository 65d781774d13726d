package main

import (
	"fmt"
	"log/slog"
	"sync"

	"example.com/chanio"
)

// handle serves the sessions of l and returns when the last one has ended.
func handle(l *chanio.Listener, log *slog.Logger) {
	var sessions sync.WaitGroup
	for s := range l.Sessions() {
		sessions.Go(func() {
			greet(s)
			echo(s)
			st := s.Stats()
			log.Info("session ended", "client", s.RemoteAddr(), "received", st.BytesReceived, "sent", st.BytesSent, "err", s.Err())
		})
	}
	sessions.Wait()
}

// greet tells a client which address the service sees. An error ends the
// session, which echo notices.
func greet(s *chanio.Session) {
	_, _ = fmt.Fprintf(s, "you are %v", s.RemoteAddr())
}

// echo sends each line back until the client has no more.
func echo(s *chanio.Session) {
	defer s.Close()
	for line := range s.Recv() {
		if s.Put(line) != nil {
			return
		}
	}
}
