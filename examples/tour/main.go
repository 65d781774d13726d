// Tour shows the library at work in one process: a TCP, a TLS and a UDP server
// with some clients each, a hub that all of their sessions join, a multicast
// group and a timer. It ends after a second or two with a summary of what was
// sent and received.
package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio"
	"example.com/chanio/examples/internal/console"
	"example.com/chanio/testdata"
)

const (
	clients  = 3                // of each server
	messages = 1000             // that each client sends
	news     = 100              // that the hub and the group send
	patience = 10 * time.Second // for one message to arrive
)

func main() {
	console.Args()
	console.Exit(tour(context.Background()))
}

// tour visits everything and prints a line about each stop.
func tour(ctx context.Context) error {
	timer := chanio.NewTimer(ctx)
	began := time.Now()
	timer.Reset(time.Second)

	fmt.Printf("%-16s%8s%8s%10s\n", "messages", "clients", "sent", "received")
	if err := tourServers(ctx); err != nil {
		return err
	}
	if err := tourGroup(ctx); err != nil {
		return err
	}

	expiry := <-timer.C()
	fmt.Printf("timer of 1s: expired after %v\n", expiry.Time.Sub(began).Round(time.Millisecond))
	return nil
}

func row(name string, clients, sent, received int) {
	fmt.Printf("%-16s%8d%8d%10d\n", name, clients, sent, received)
}

// tourServers starts a server of each transport, talks to it, and sends the
// news to all clients at once.
func tourServers(ctx context.Context) error {
	server, err := testdata.ServerTLS()
	if err != nil {
		return err
	}
	client, err := testdata.ClientTLS()
	if err != nil {
		return err
	}
	hub := chanio.NewHub(ctx, nil)
	defer hub.Close()

	var all []*chanio.Session
	for _, t := range []struct {
		name, network  string
		server, client *tls.Config
	}{
		{"TCP echo", "tcp", nil, nil},
		{"TLS echo", "tcp", server, client},
		{"UDP echo", "udp", nil, nil},
	} {
		l, err := chanio.Listen(ctx, t.network, "127.0.0.1:0", &chanio.Options{TLS: t.server})
		if err != nil {
			return err
		}
		defer l.Close()
		go serve(l, hub)

		sessions, err := dial(ctx, t.network, l.Addr().String(), &chanio.Options{TLS: t.client})
		if err != nil {
			return err
		}
		if err := each(sessions, converse); err != nil {
			return err
		}
		row(t.name, clients, clients*messages, clients*messages)
		all = append(all, sessions...)
	}

	for range news {
		if err := hub.Multicast([]byte(headline)); err != nil {
			return err
		}
	}
	if err := each(all, hearNews); err != nil {
		return err
	}
	row("hub", len(all), news, news*len(all))
	return each(all, (*chanio.Session).Close)
}

// each does the same with all sessions at once.
func each(sessions []*chanio.Session, do func(*chanio.Session) error) error {
	var group errgroup.Group
	for _, s := range sessions {
		group.Go(func() error { return do(s) })
	}
	return group.Wait()
}
