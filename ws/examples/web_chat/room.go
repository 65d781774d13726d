package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/chanio"
	"example.com/chanio/ws"
	"example.com/chanio/ws/examples/chatpage"
)

//go:embed room.js
var script string

// addresses says where a room listens.
type addresses struct{ page, tcp, tls string }

// A room is one hub whose members are browsers and line clients.
type room struct {
	id       string // tells a page that the server is a new one
	hub      *chanio.Hub
	web      *ws.Handler
	tcp, tls *chanio.Listener
	http     *http.Server
	page     net.Addr // address of the page
	handlers sync.WaitGroup

	mu   sync.Mutex
	said int // messages so far; a page that joins is told, and so knows what it missed
}

// open opens a room that lives until ctx ends. certificates is the folder of the
// tls server's certificates.
func open(ctx context.Context, at addresses, certificates string) (*room, error) {
	config, err := chanio.ServerTLS(certificates+"/server.crt", certificates+"/server.key")
	if err != nil {
		return nil, err
	}
	life := context.WithoutCancel(ctx) // close ends it gracefully
	lines := chanio.Options{Framing: chanio.Lines{}, ManualJoin: true, Lag: chanio.LagDrop}
	r := &room{id: rand.Text()[:8], hub: chanio.NewHub(life, &lines)}
	if r.tcp, err = chanio.Listen(life, "tcp", at.tcp, &lines); err != nil {
		return nil, err
	}
	secret := lines
	secret.TLS = config
	if r.tls, err = chanio.Listen(life, "tcp", at.tls, &secret); err != nil {
		return nil, errors.Join(err, r.tcp.Close())
	}
	ln, err := net.Listen("tcp", at.page)
	if err != nil {
		return nil, errors.Join(err, r.tcp.Close(), r.tls.Close())
	}
	r.page = ln.Addr()
	r.web = ws.NewHandler(life, &ws.Options{
		Text:        true,
		Compression: &ws.Compression{},
		Chanio:      &chanio.Options{ManualJoin: true, MaxMessage: 4 << 10},
	})
	r.serve(ln)
	return r, nil
}

// serve serves ln and hosts the sessions of all listeners.
func (r *room) serve(ln net.Listener) {
	mux := http.NewServeMux()
	mux.Handle("GET /room", r.web)
	mux.Handle("GET /{$}", chatpage.Handler(script))
	r.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	r.handlers.Go(func() { r.http.Serve(ln) })
	for kind, l := range map[string]*chanio.Listener{"tcp": r.tcp, "tls": r.tls, "web": r.web.Listener()} {
		r.handlers.Go(func() {
			for s := range l.Sessions() {
				r.handlers.Go(func() { r.host(s, kind) })
			}
		})
	}
	r.handlers.Go(r.tellLosses)
}

// close closes the room gracefully: the last messages arrive.
func (r *room) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := errors.Join(r.http.Shutdown(ctx), r.web.Listener().Shutdown(ctx), r.tcp.Shutdown(ctx), r.tls.Shutdown(ctx), r.hub.Close())
	r.handlers.Wait()
	return err
}

// host multicasts what s says until it leaves.
func (r *room) host(s *chanio.Session, kind string) {
	defer s.Close()
	who := chatpage.Name(s, kind+" "+s.ID().String())
	if r.welcome(s, who) != nil {
		return
	}
	defer r.say("*", who+" has left")
	for m := range s.Recv() {
		if text := strings.TrimSpace(string(m)); text == "!" {
			return
		} else if text != "" {
			r.say(who, text)
		}
	}
}

// welcome makes s a member and tells it its name and how many messages there
// were. No message is missing between those and the first that it gets.
func (r *room) welcome(s *chanio.Session, who string) error {
	r.mu.Lock()
	greeting := fmt.Sprintf("* You are %s in room %s after %d messages.", who, r.id, r.said)
	err := s.Put([]byte(greeting))
	if err == nil {
		err = r.hub.Join(s)
	}
	r.mu.Unlock()
	if err == nil {
		r.say("*", who+" has come")
	}
	return err
}

// say sends text to everyone.
func (r *room) say(who, text string) {
	if who != "*" {
		who += ":"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hub.Multicast([]byte(who+" "+chatpage.Line(text))) == nil { // otherwise the room is closing
		r.said++
	}
}

// tellLosses tells members that lagged how many messages they missed.
func (r *room) tellLosses() {
	for e := range r.hub.Events() {
		if e.Kind == chanio.EventLagged {
			r.handlers.Go(func() { e.Session.Put(fmt.Appendf(nil, "* You were too slow and missed %d messages.", e.Count)) })
		}
	}
}
