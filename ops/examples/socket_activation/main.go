// Socket_activation echoes what it receives on sockets that systemd holds for
// it. systemd listens from boot on, starts the program when the first client
// connects, and keeps the sockets while the program is replaced. Clients that
// connect meanwhile wait, and none is refused.
//
//	go build ./examples/socket_activation
//	systemd-socket-activate -l 4000 ./socket_activation
//
// On SIGTERM, which systemd sends, or Ctrl-C, the program serves its sessions
// until their clients leave.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sync/errgroup"

	"example.com/chanio"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "socket_activation:", err)
		os.Exit(1)
	}
}

// run serves on all sockets that it was given and drains when ctx ends.
func run(ctx context.Context) error {
	given, err := activation.Listeners()
	if err != nil {
		return err
	}
	if len(given) == 0 {
		return errors.New("no sockets: start it by systemd, or by systemd-socket-activate -l 4000")
	}
	servers, ctx := errgroup.WithContext(ctx)
	for i, ln := range given {
		if ln == nil {
			return fmt.Errorf("socket %d is not of streams", i)
		}
		servers.Go(func() error { return serve(ctx, ln) })
	}
	return servers.Wait()
}

// serve echoes on one socket and drains when ctx ends. The socket's file, if it
// has one, belongs to systemd.
func serve(ctx context.Context, ln net.Listener) error {
	background := context.WithoutCancel(ctx)
	l := chanio.Serve(background, ln, &chanio.Options{KeepSocket: true})
	stop := context.AfterFunc(ctx, func() {
		fmt.Println("Draining, with", l.Len(), "sessions")
		_ = l.Drain(background) // background does not end
	})
	defer stop()
	fmt.Println("Serving on", l.Addr(), "as process", os.Getpid())
	var sessions sync.WaitGroup
	for s := range l.Sessions() {
		sessions.Go(func() { echo(s) })
	}
	sessions.Wait()
	return l.Err()
}

func echo(s *chanio.Session) {
	defer s.Close()
	for b := range s.RecvBatch() {
		if s.PutBatch(b) != nil {
			return
		}
	}
}
