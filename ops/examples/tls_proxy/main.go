// Tls_proxy terminates TLS in front of a server without TLS. A PROXY header
// tells the server the client of each connection.
//
//	go run ./examples/tls_proxy -listen :4433 -cert server.crt -key server.key -to 127.0.0.1:4000
//
// The server must accept such headers from this proxy and from nowhere else: with
// chanio, set Options.ProxyProtocol and Options.ProxyFrom. Certificates are
// reloaded when their files change. On Ctrl-C or SIGTERM the proxy stops once
// its connections have ended.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"example.com/chanio"
)

func main() {
	listen := flag.String("listen", ":4433", "where clients connect")
	cert := flag.String("cert", "server.crt", "file of the certificate")
	key := flag.String("key", "server.key", "file of its key")
	to := flag.String("to", "127.0.0.1:4000", "address of the server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *listen, *cert, *key, *to); err != nil {
		fmt.Fprintln(os.Stderr, "tls_proxy:", err)
		os.Exit(1)
	}
}

// run runs the proxy. It drains when ctx ends.
func run(ctx context.Context, listen, cert, key, to string) error {
	config, err := chanio.ServerTLS(cert, key)
	if err != nil {
		return err
	}
	background := context.WithoutCancel(ctx)
	l, err := chanio.Listen(background, "tcp", listen, &chanio.Options{TLS: config, ManualJoin: true})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Drain(background) }) // background does not end
	defer stop()
	fmt.Println("Serving on", l.Addr())
	var pipes sync.WaitGroup
	for client := range l.Sessions() {
		pipes.Go(func() {
			if err := pass(background, client, to); err != nil {
				fmt.Fprintf(os.Stderr, "tls_proxy: %v: %v\n", client.RemoteAddr(), err)
			}
		})
	}
	pipes.Wait()
	return l.Err()
}

// pass connects a client to the server until both have ended.
func pass(ctx context.Context, client *chanio.Session, to string) error {
	server, err := chanio.Dial(ctx, "tcp", to, nil)
	if err != nil {
		client.Abort(err) // a reset, which must not look like an answer
		return err
	}
	if err := server.Put(header(client)); err != nil {
		client.Abort(err)
		return err
	}
	return chanio.Pipe(ctx, client, server)
}

// header returns the PROXY header, version 1, that starts a client's connection.
func header(client *chanio.Session) []byte {
	from := client.RemoteAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	to := client.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	family := "TCP6"
	if from.Addr().Is4() {
		family = "TCP4"
	}
	return fmt.Appendf(nil, "PROXY %s %v %v %d %d\r\n", family,
		from.Addr().WithZone(""), to.Addr().WithZone(""), from.Port(), to.Port())
}
