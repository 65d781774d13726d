// Cluster_chat is one chat room across all nodes that are started. Each line
// that a client of any node says reaches the clients of all nodes.
//
//	go run ./examples/cluster_chat -addr :1111 -history 50
//	go run ./examples/cluster_chat -addr :1112 -history 50 -nats nats://127.0.0.1:4222
//	nc 127.0.0.1 1111
//
// The first node starts a NATS server in its process, and others connect to it
// with -nats. With -nats, all may use a server that runs elsewhere. With
// -history, new clients get that many of the last lines. Ctrl-C stops a node.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/chanio"
	"example.com/chanio/natsroom"
	"example.com/chanio/natsroom/embedded"
)

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", ":1111", "where clients connect")
	flag.StringVar(&c.nats, "nats", "", "URL of the NATS server; empty: start one here")
	flag.StringVar(&c.serve, "serve", "127.0.0.1:4222", "where the server that is started here listens")
	flag.StringVar(&c.dir, "dir", "", "where that keeps the history; empty: a temporary directory")
	flag.IntVar(&c.history, "history", 0, "how many lines a newcomer gets; all nodes must have it or none")
	flag.Parse()
	if flag.NArg() > 0 || c.history < 0 {
		fmt.Fprintln(os.Stderr, "cluster_chat: it takes no arguments but flags, and -history is not negative: see -help")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "cluster_chat:", err)
		os.Exit(1)
	}
}

// config holds the flags.
type config struct {
	addr, nats, serve, dir string
	history                int
}

// run runs a node until ctx ends.
func run(ctx context.Context, c config) error {
	nc, end, err := connect(c)
	if err != nil {
		return err
	}
	defer end()
	l, err := chanio.Listen(ctx, "tcp", c.addr, &chanio.Options{ManualJoin: true})
	if err != nil {
		return err
	}
	defer l.Close()
	o := new(natsroom.Options)
	if c.history > 0 {
		o.History = new(natsroom.History)
	}
	room, err := natsroom.Join(ctx, nc, "chat", l.Hub(), o)
	if err != nil {
		return err
	}
	defer room.Close()
	fmt.Printf("clients: %v, NATS: %s\n", l.Addr(), nc.ConnectedUrl())
	var group sync.WaitGroup
	group.Go(func() { report(room) })
	for s := range l.Sessions() {
		group.Go(func() {
			if err := talk(s, l.Hub(), room, c.history); err != nil {
				fmt.Println(s.ID(), err)
			}
		})
	}
	room.Close()
	group.Wait()
	if ctx.Err() != nil {
		return nil // Ctrl-C
	}
	return l.Err()
}

// talk adds a client to the room and publishes its lines.
func talk(s *chanio.Session, hub *chanio.Hub, room *natsroom.Room, history int) error {
	defer s.Close()
	var err error
	if history > 0 {
		err = room.Replay(s, history, time.Time{})
	} else {
		err = hub.Join(s)
	}
	if err != nil {
		return err
	}
	name := s.RemoteAddr()
	say := func(format string, v ...any) error {
		return room.Publish(fmt.Appendf(nil, "%v "+format+"\n", append([]any{name}, v...)...))
	}
	if err := say("is here, with %d others", room.Members()-1); err != nil {
		return err
	}
	lines := bufio.NewScanner(s.NetConn())
	for lines.Scan() {
		if err := say("says: %s", lines.Text()); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), say("is gone"))
}

// report prints what the node lost, until the room ends.
func report(room *natsroom.Room) {
	for e := range room.Events() {
		if e.Kind == chanio.EventLagged || e.Kind == chanio.EventFailed {
			fmt.Println(e.Kind, e.Err)
		}
	}
}

// connect connects to the server. If there is no URL, it starts one.
func connect(c config) (nc *nats.Conn, end func(), err error) {
	if c.nats != "" {
		nc, err = nats.Connect(c.nats, nats.MaxReconnects(-1))
		if err != nil {
			return nil, nil, fmt.Errorf("NATS at %s: %w", c.nats, err)
		}
		return nc, nc.Close, nil
	}
	dir, remove := c.dir, func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "cluster_chat"); err != nil {
			return nil, nil, err
		}
		remove = func() { os.RemoveAll(dir) } // anything left is in a temporary directory
	}
	server, err := embedded.Start(context.Background(), &embedded.Options{Addr: c.serve, Dir: dir})
	if err != nil {
		remove()
		return nil, nil, err
	}
	if nc, err = server.Connect(); err != nil {
		server.Close()
		remove()
		return nil, nil, err
	}
	return nc, func() { nc.Close(); server.Close(); remove() }, nil
}
