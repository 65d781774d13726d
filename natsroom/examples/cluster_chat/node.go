package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
	"example.com/chanio/natsroom"
	"example.com/chanio/ws"
	"example.com/chanio/ws/examples/chatpage"
)

//go:embed page.js
var script string

// A node has the clients of one process, in a room with those of all others.
type node struct {
	history int
	hub     *chanio.Hub
	room    *natsroom.Room
	tcp     *chanio.Listener
	web     *ws.Handler
	http    *http.Server
	page    net.Addr // nil: there is no page
	group   sync.WaitGroup
}

// open joins the room and listens. The caller must close the node.
func open(nc *nats.Conn, c config) (n *node, err error) {
	life := context.Background()
	n = &node{history: c.history, hub: chanio.NewHub(life, &chanio.Options{Lag: chanio.LagDrop})}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	client := chanio.Options{ManualJoin: true, MaxMessage: 4 << 10}
	n.web = ws.NewHandler(life, &ws.Options{Text: true, Chanio: &client})
	o := new(natsroom.Options)
	if c.history > 0 {
		o.History = new(natsroom.History)
	}
	if n.room, err = natsroom.Join(life, nc, "chat", n.hub, o); err != nil {
		return nil, err
	}
	lines := client
	lines.Framing = chanio.Lines{}
	if n.tcp, err = chanio.Listen(life, "tcp", c.addr, &lines); err != nil {
		return nil, err
	}
	if c.web != "" {
		ln, err := net.Listen("tcp", c.web)
		if err != nil {
			return nil, err
		}
		n.servePage(ln)
	}
	for _, l := range []*chanio.Listener{n.tcp, n.web.Listener()} {
		n.group.Go(func() {
			for s := range l.Sessions() {
				n.group.Go(func() { n.host(s) })
			}
		})
	}
	n.group.Go(n.tellLosses)
	n.group.Go(n.tellLaggards)
	return n, nil
}

func (n *node) servePage(ln net.Listener) {
	n.page = ln.Addr()
	mux := http.NewServeMux()
	mux.Handle("GET /room", n.web)
	mux.Handle("GET /{$}", chatpage.Handler(script))
	n.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	n.group.Go(func() { n.http.Serve(ln) }) // until close
}

// close ends the node gracefully: the others are told that its clients are gone.
func (n *node) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if n.http != nil {
		n.http.Shutdown(ctx)
	}
	n.web.Listener().Shutdown(ctx) // a session that does not end by then is cut off
	if n.tcp != nil {
		n.tcp.Shutdown(ctx)
	}
	if n.room != nil {
		n.room.Flush(ctx)
		n.room.Close()
	}
	n.hub.Close()
	n.group.Wait()
}

// host adds a client to the room and publishes what it says until it leaves.
func (n *node) host(s *chanio.Session) {
	defer s.Close()
	who := chatpage.Name(s, s.RemoteAddr().String())
	if err := n.welcome(s, who); err != nil {
		fmt.Println(who, err)
		return
	}
	n.say(s, "* "+who+" is here")
	for m := range s.Recv() {
		if text := chatpage.Line(string(m)); text != "" {
			n.say(s, who+": "+text)
		}
	}
	n.say(s, "* "+who+" is gone")
}

// welcome makes s a member. It tells s its name, what was said before, and where
// that ends, so that a page knows what it has missed.
func (n *node) welcome(s *chanio.Session, who string) error {
	if err := s.Put(fmt.Appendf(nil, "* You are %s.", who)); err != nil {
		return err
	}
	if err := n.join(s); err != nil {
		return err
	}
	return s.Put(fmt.Appendf(nil, "* Welcome: %d others are here.", n.room.Members()-1))
}

// join makes s a member that gets what is said from now on.
func (n *node) join(s *chanio.Session) error {
	if n.history > 0 {
		return n.room.Replay(s, n.history, time.Time{})
	}
	if err := n.hub.Join(s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	return n.room.Flush(ctx) // the first client makes the node subscribe
}

// say publishes a line, with the time in front, and tells s if it could not.
func (n *node) say(s *chanio.Session, line string) {
	err := n.room.Publish([]byte(time.Now().UTC().Format("15:04:05.000 ") + line))
	if err != nil && !errors.Is(err, chanio.ErrClosed) {
		s.Put([]byte("* Not sent: " + err.Error())) // if s has ended, there is no client to tell
	}
}

// tellLosses tells the clients here what this node has missed.
func (n *node) tellLosses() {
	for e := range n.room.Events() {
		if e.Kind == chanio.EventLagged {
			n.hub.Multicast(fmt.Appendf(nil, "* This node has missed %d messages.", e.Count))
		}
		if e.Err != nil {
			fmt.Println(e.Kind, e.Err)
		}
	}
}

// tellLaggards tells clients that were too slow how many messages they missed.
func (n *node) tellLaggards() {
	for e := range n.hub.Events() {
		if e.Kind == chanio.EventLagged {
			n.group.Go(func() { e.Session.Put(fmt.Appendf(nil, "* You were too slow and missed %d messages.", e.Count)) })
		}
	}
}
