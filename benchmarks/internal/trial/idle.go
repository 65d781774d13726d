package trial

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/chanio/benchmarks/internal/process"
)

// Idle is what idle sessions cost a server, in bytes of resident memory per
// session.
type Idle struct {
	Sessions  int       `json:"sessions"`
	Connected Footprint `json:"connected"` // sessions that never sent anything
	Echoed    Footprint `json:"echoed"`    // after each has echoed a message once
}

// A Footprint is the growth of a server's resident memory per session.
type Footprint struct {
	Resident  float64 `json:"resident"`  // as is, including garbage
	Collected float64 `json:"collected"` // after a collection that returns free memory
}

const (
	idleWorkers = 64                     // connections that dial or echo at a time
	idleSettle  = 300 * time.Millisecond // for a server to finish what it began
	idleTimeout = 10 * time.Second       // of one echo
	idleSession = 5 * time.Millisecond   // for a handshake and an echo, on a slow machine
)

// MeasureIdle starts s and opens n connections to it from this process. Then it
// sends a message of size bytes over each.
func MeasureIdle(ctx context.Context, s Server, n, size int) (*Idle, error) {
	if n < 1 || size < 1 {
		return nil, errNotPositive
	}
	if err := process.AllowFiles(n + 100); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startup+time.Duration(n)*idleSession)
	defer cancel()
	server, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	m := &idle{server: server, conns: make([]net.Conn, n), size: size}
	result, err := m.measure(ctx)
	m.close()
	if stopped := server.Stop(); err == nil {
		err = stopped
	}
	return result, err
}

type idle struct {
	server *running
	conns  []net.Conn
	size   int   // of a message
	empty  int64 // the server's resident bytes before the first session
}

func (m *idle) measure(ctx context.Context) (*Idle, error) {
	var err error
	if m.empty, err = m.collected(); err != nil {
		return nil, err
	}
	result := &Idle{Sessions: len(m.conns)}
	if err := m.each(ctx, m.dial); err != nil {
		return nil, err
	}
	if err := m.probe(ctx); err != nil {
		return nil, err
	}
	if result.Connected, err = m.footprint(ctx); err != nil {
		return nil, err
	}
	if err := m.each(ctx, func(_ context.Context, i int) error { return echoOnce(m.conns[i], m.size) }); err != nil {
		return nil, err
	}
	result.Echoed, err = m.footprint(ctx)
	return result, err
}

// each runs do for all sessions, a few at a time.
func (m *idle) each(ctx context.Context, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(idleWorkers)
	for i := range m.conns {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

func (m *idle) dial(ctx context.Context, i int) (err error) {
	m.conns[i], err = m.server.endpoint.Dial(ctx, i)
	return err
}

// probe returns once the server has accepted all connections: it waits for an
// echo on the one accepted last.
func (m *idle) probe(ctx context.Context) error {
	conn, err := m.server.endpoint.Dial(ctx, len(m.conns))
	if err != nil {
		return err
	}
	defer conn.Close()
	return echoOnce(conn, m.size)
}

func (m *idle) footprint(ctx context.Context) (Footprint, error) {
	pause(ctx, idleSettle)
	used, err := process.Usage(m.server.PID())
	if err != nil {
		return Footprint{}, err
	}
	collected, err := m.collected()
	return Footprint{m.share(used.Resident), m.share(collected)}, err
}

// share returns each session's share of the server's growth to bytes.
func (m *idle) share(bytes int64) float64 {
	return float64(bytes-m.empty) / float64(len(m.conns))
}

// collected returns the server's resident bytes after a collection.
func (m *idle) collected() (int64, error) {
	if _, err := m.server.Command("gc"); err != nil {
		return 0, err
	}
	used, err := process.Usage(m.server.PID())
	return used.Resident, err
}

func (m *idle) close() {
	for _, c := range m.conns {
		if c != nil {
			c.Close()
		}
	}
}

func echoOnce(c net.Conn, size int) error {
	if err := c.SetDeadline(time.Now().Add(idleTimeout)); err != nil {
		return err
	}
	buf := make([]byte, size)
	if _, err := c.Write(buf); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, buf); err != nil {
		return fmt.Errorf("echo: %w", err)
	}
	return nil
}
