package main

import "example.com/chanio"

// serve hands each session of l to a goroutine, until l ends.
func serve(l *chanio.Listener, hub *chanio.Hub) {
	for s := range l.Sessions() {
		go handle(s, hub)
	}
}

// handle sends back what its session receives, whatever transport that is over,
// and lets it hear the news.
func handle(s *chanio.Session, hub *chanio.Hub) {
	defer s.Close()
	if err := hub.Join(s); err != nil {
		return
	}
	for m := range s.Recv() {
		select {
		case s.Send() <- m:
		case <-s.Done():
		}
	}
}
