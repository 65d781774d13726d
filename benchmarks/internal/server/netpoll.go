//go:build linux || darwin

package server

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cloudwego/netpoll"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// netpollEcho uses an event-loop library: its pollers read, and a pooled
// goroutine answers without copying.
func netpollEcho(ctx context.Context, c Config) (Server, error) {
	return netpollListen(ctx, c, answer)
}

// answer writes back what has arrived.
func answer(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	p, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(p); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}

// netpollMulticast uses a channel per member over netpoll's connections: the
// library has no fan-out of its own.
func netpollMulticast(ctx context.Context, c Config) (Server, error) {
	return newStdHub(ctx, c, netpollStreams, (*stdMember).writeEach)
}

// netpollStreams runs handle for each connection and closes the connection when
// handle returns or the server closes. It discards what clients send.
func netpollStreams(ctx context.Context, c Config, handle func(net.Conn)) (Server, error) {
	s := new(netpollMembers)
	loop, err := netpollListen(ctx, c, discard, netpoll.WithOnConnect(func(ctx context.Context, conn netpoll.Connection) context.Context {
		s.wg.Go(func() {
			defer conn.Close()
			handle(conn)
		})
		return ctx
	}))
	if err != nil {
		return nil, err
	}
	s.Server = loop
	return s, nil
}

func discard(_ context.Context, c netpoll.Connection) error {
	return c.Reader().Skip(c.Reader().Len())
}

// netpollMembers waits for the goroutines of its connections.
type netpollMembers struct {
	Server
	wg sync.WaitGroup
}

func (s *netpollMembers) Close() error {
	err := s.Server.Close()
	s.wg.Wait()
	return err
}

// netpollListen starts a loop that calls onRequest when something has arrived.
func netpollListen(ctx context.Context, c Config, onRequest netpoll.OnRequest, options ...netpoll.Option) (Server, error) {
	if c.Frame || (c.Endpoint.Net != endpoint.TCP && c.Endpoint.Net != endpoint.Unix) {
		return nil, fmt.Errorf("netpoll moves raw bytes over tcp and unix only, not %s", c.Endpoint.Net)
	}
	ln, err := c.Endpoint.Listen(ctx)
	if err != nil {
		return nil, err
	}
	l, err := netpoll.ConvertListener(ln)
	if err != nil {
		ln.Close()
		return nil, err
	}
	loop, err := netpoll.NewEventLoop(onRequest, options...)
	if err != nil {
		l.Close()
		return nil, err
	}
	s := &netpollServer{addr: ln.Addr(), loop: loop, done: make(chan error, 1)}
	go func() { s.done <- loop.Serve(l) }() // ends with Shutdown
	return s, nil
}

type netpollServer struct {
	addr net.Addr
	loop netpoll.EventLoop
	done chan error // what Serve returned
}

func (s *netpollServer) Addr() string { return s.addr.String() }

func (s *netpollServer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.loop.Shutdown(ctx); err != nil {
		return err
	}
	return <-s.done
}
