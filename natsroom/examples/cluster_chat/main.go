// Cluster_chat is one chat room for tcp lines and browsers on as many nodes as
// are started. What a client of any node says reaches the clients of all nodes.
//
//	go run ./examples/cluster_chat -addr :1111 -web :8081 -history 50
//	go run ./examples/cluster_chat -addr :1112 -web :8082 -history 50 -nats nats://127.0.0.1:4222
//	nc 127.0.0.1 1111
//
// The first node starts a NATS server in its process, and others connect to it
// with -nats. With -nats, all may use a server that runs elsewhere. With
// -history, new clients get that many of the last lines, and a browser that was
// away gets those that it missed. Ctrl-C stops a node.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"

	"example.com/chanio/natsroom/embedded"
)

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", ":1111", "where tcp clients connect")
	flag.StringVar(&c.web, "web", "", "where the web page is; empty: there is none")
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
	addr, web, nats, serve, dir string
	history                     int
}

// run runs a node until ctx ends.
func run(ctx context.Context, c config) error {
	nc, url, end, err := connect(c)
	if err != nil {
		return err
	}
	defer end()
	n, err := open(nc, c)
	if err != nil {
		return err
	}
	if n.page != nil {
		fmt.Printf("page: http://%v/, ", n.page)
	}
	fmt.Printf("tcp: %v, NATS: %s\n", n.tcp.Addr(), url)
	select {
	case <-ctx.Done():
	case <-n.room.Done():
		err = n.room.Err()
	}
	n.close()
	return err
}

// connect connects to the server at url. If there is none yet, it starts one.
func connect(c config) (nc *nats.Conn, url string, end func(), err error) {
	if c.nats != "" {
		nc, err = nats.Connect(c.nats, nats.MaxReconnects(-1))
		if err != nil {
			return nil, "", nil, fmt.Errorf("NATS at %s: %w", c.nats, err)
		}
		return nc, nc.ConnectedUrl(), nc.Close, nil
	}
	dir, remove := c.dir, func() {}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "cluster_chat"); err != nil {
			return nil, "", nil, err
		}
		remove = func() { os.RemoveAll(dir) } // anything left is in a temporary directory
	}
	server, err := embedded.Start(context.Background(), &embedded.Options{Addr: c.serve, Dir: dir})
	if err != nil {
		remove()
		return nil, "", nil, err
	}
	if nc, err = server.Connect(); err != nil {
		server.Close()
		remove()
		return nil, "", nil, err
	}
	return nc, server.URL(), func() { nc.Close(); server.Close(); remove() }, nil
}
