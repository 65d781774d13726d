// Hot_restart echoes what it receives, and gives way to a newer version without
// cutting off any client. On SIGHUP it starts its own file again, which may have
// been replaced, and hands the listening socket to the new process. New clients
// go to the new process; the old one serves its clients until they leave.
//
//	go build ./examples/hot_restart
//	./hot_restart -listen :4000
//	kill -HUP $(pgrep hot_restart)
//
// (With go run, the file is gone once the first process has ended.)
//
// On SIGTERM or Ctrl-C the program refuses new clients and ends when the last
// one has left.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/cloudflare/tableflip"

	"example.com/chanio"
)

func main() {
	address := flag.String("listen", ":4000", "where clients connect")
	flag.Parse()
	if err := run(*address); err != nil {
		fmt.Fprintln(os.Stderr, "hot_restart:", err)
		os.Exit(1)
	}
}

func run(address string) error {
	ctx := context.Background()
	upgrader, err := tableflip.New(tableflip.Options{})
	if err != nil {
		return err
	}
	defer upgrader.Stop()
	ln, err := upgrader.Listen("tcp", address) // inherited, or new
	if err != nil {
		return err
	}
	l := chanio.Serve(ctx, ln, nil)
	go obey(upgrader)
	go serve(l)
	fmt.Println("Serving on", l.Addr(), "as process", os.Getpid())
	if err := upgrader.Ready(); err != nil { // now the old process drains
		return err
	}
	select {
	case <-upgrader.Exit():
		fmt.Println("Draining, with", l.Len(), "sessions")
		return l.Drain(ctx)
	case <-l.Done():
		return l.Err()
	}
}

// obey handles signals for as long as the process lives.
func obey(upgrader *tableflip.Upgrader) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	for sig := range signals {
		if sig != syscall.SIGHUP {
			upgrader.Stop()
			continue
		}
		if err := upgrader.Upgrade(); err != nil { // this process goes on
			fmt.Fprintln(os.Stderr, "hot_restart: no restart:", err)
		}
	}
}

// serve echoes until the last session has ended.
func serve(l *chanio.Listener) {
	for s := range l.Sessions() {
		go echo(s)
	}
}

func echo(s *chanio.Session) {
	defer s.Close()
	for b := range s.RecvBatch() {
		if s.PutBatch(b) != nil {
			return
		}
	}
}
