//go:build linux || darwin

package server

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/cloudwego/netpoll"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// netpollEcho uses an event-loop library: its pollers read, and a pooled
// goroutine answers without copying.
func netpollEcho(ctx context.Context, c Config) (Server, error) {
	if c.Framing != "" || (c.Endpoint.Net != endpoint.TCP && c.Endpoint.Net != endpoint.Unix) {
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
	loop, err := netpoll.NewEventLoop(answer)
	if err != nil {
		l.Close()
		return nil, err
	}
	s := &netpollServer{addr: ln.Addr(), loop: loop, done: make(chan error, 1)}
	go func() { s.done <- loop.Serve(l) }() // ends with Shutdown
	return s, nil
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
