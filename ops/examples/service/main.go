// Service is an echo server for lines as it would run in production: README.md
// describes what its operator sees. It
//
//   - exports its counters for Prometheus on /metrics;
//   - on SIGTERM refuses new clients and ends once it has served those that it has;
//   - on SIGHUP hands its sockets to a new process, perhaps of a newer program file,
//     and then drains in the same way;
//   - behind a proxy takes its clients' addresses from PROXY headers;
//   - reloads its certificate when the file changes;
//   - detects clients that have vanished.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cloudflare/tableflip"

	"example.com/chanio"
)

// config holds the flags.
type config struct {
	listen, metrics string
	cert, key       string
	proxies         string
	drain           time.Duration
	ready           time.Duration
	pidFile         string
}

func main() {
	var c config
	flag.StringVar(&c.listen, "listen", ":4000", "where clients connect")
	flag.StringVar(&c.metrics, "metrics", "127.0.0.1:9400", "where /metrics is")
	flag.StringVar(&c.cert, "cert", "", "file of the certificate; empty: no TLS")
	flag.StringVar(&c.key, "key", "", "file of its key")
	flag.StringVar(&c.proxies, "proxies", "", "networks of the proxies in front, as 10.0.0.0/8,fd00::/8: all connections must begin with their PROXY header; empty: there are none")
	flag.DurationVar(&c.drain, "drain", time.Minute, "how long clients are served after SIGTERM or SIGHUP before they are closed")
	flag.DurationVar(&c.ready, "ready", time.Minute, "how long the new process of a SIGHUP may take to be ready; after that it is killed, and this one goes on")
	flag.StringVar(&c.pidFile, "pid", "", "file for the id of the process that accepts; empty: none")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("pid", os.Getpid())
	if err := run(context.Background(), c, log); err != nil {
		log.Error("service failed", "err", err)
		os.Exit(1)
	}
}

// run runs the service. Only signals end it.
func run(ctx context.Context, c config, log *slog.Logger) error {
	o, err := c.options(log)
	if err != nil {
		return err
	}
	upgrader, err := tableflip.New(tableflip.Options{PIDFile: c.pidFile, UpgradeTimeout: c.ready})
	if err != nil {
		return err
	}
	defer upgrader.Stop()
	clients, scrapes, err := c.sockets(upgrader)
	if err != nil {
		return err
	}
	var sessions sync.WaitGroup
	defer sessions.Wait()
	l := chanio.Serve(ctx, clients, o)
	defer l.Close()
	sessions.Go(func() { handle(l, log) })
	metrics := serveMetrics(l, scrapes)
	defer metrics.close()
	signals := obey(upgrader, log)
	defer signals.stop()

	log.Info("serving", "clients", l.Addr(), "metrics", scrapes.Addr())
	if err := upgrader.Ready(); err != nil { // now the previous process drains
		return err
	}
	select {
	case <-l.Done():
		return l.Err()
	case <-upgrader.Exit():
	}
	if signals.replaced() {
		log.Info("replaced by a new process")
		metrics.close() // the new process serves its own
	}
	return drain(ctx, l, c.drain, signals.hurry, log)
}

// sockets returns the previous process's sockets, or new ones.
func (c config) sockets(upgrader *tableflip.Upgrader) (clients, scrapes net.Listener, err error) {
	if clients, err = upgrader.Listen("tcp", c.listen); err != nil {
		return nil, nil, err
	}
	if scrapes, err = upgrader.Listen("tcp", c.metrics); err != nil {
		clients.Close()
		return nil, nil, err
	}
	return clients, scrapes, nil
}

// options returns the listener's options.
func (c config) options(log *slog.Logger) (*chanio.Options, error) {
	o := &chanio.Options{
		Framing:            chanio.Lines{},
		MaxMessage:         64 << 10,
		MaxSessions:        10_000,
		MaxSessionsPerAddr: 1_000,
		ManualJoin:         true, // there is no room
		KeepAlive:          &net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4},
		Logger:             log, // warnings; the rest is for debugging
	}
	if c.cert != "" {
		var err error
		if o.TLS, err = chanio.ServerTLS(c.cert, c.key); err != nil {
			return nil, err
		}
	}
	if c.proxies == "" {
		return o, nil
	}
	o.ProxyProtocol = true
	for s := range strings.SplitSeq(c.proxies, ",") {
		network, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("-proxies: %w", err)
		}
		o.ProxyFrom = append(o.ProxyFrom, network)
	}
	return o, nil
}

// drain waits for the sessions to end by themselves, and closes the rest when
// patience is over or hurry is closed.
func drain(ctx context.Context, l *chanio.Listener, patience time.Duration, hurry <-chan struct{}, log *slog.Logger) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	go func() { // ends with patient
		select {
		case <-hurry:
			cancel()
		case <-patient.Done():
		}
	}()
	log.Info("draining", "sessions", l.Len())
	if l.Drain(patient) == nil {
		log.Info("drained")
		return nil
	}
	log.Warn("closing those that are left", "sessions", l.Len())
	return l.Shutdown(ctx) // bounded by CloseTimeout
}
