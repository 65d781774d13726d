package server

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/cloudwego/netpoll"

	"example.com/chanio/benchmarks/internal/bench"
)

// netpollEcho uses an event-loop library: its pollers read, and a pooled
// goroutine answers without copying.
func netpollEcho(s *Server) error {
	if runtime.GOOS == "windows" { // where it compiles and does nothing
		return fmt.Errorf("netpoll: %w", errors.ErrUnsupported)
	}
	if s.config.Framing != "" || (s.config.Net != bench.TCP && s.config.Net != bench.Unix) {
		return fmt.Errorf("netpoll moves raw bytes over tcp and unix only, not %s", s.config.Net)
	}
	ln, err := s.listen()
	if err != nil {
		return err
	}
	l, err := netpoll.ConvertListener(ln)
	if err != nil {
		s.onClose(ln.Close)
		return err
	}
	loop, err := netpoll.NewEventLoop(answer)
	if err != nil {
		s.onClose(l.Close)
		return err
	}
	s.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return loop.Shutdown(ctx)
	})
	s.wg.Go(func() { _ = loop.Serve(l) }) // ends with Shutdown
	return nil
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
