package examples_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// A dialer connects to an echo server.
type dialer func() (net.Conn, error)

// A crowd talks to an echo server during a change that its clients must not
// notice: some are in the middle of a conversation then, and others come and go
// all the time.
type crowd struct {
	dial     dialer
	inside   int           // how many are in a conversation
	doors    chan struct{} // has a slot for each that may connect at a time
	changed  chan struct{} // closed by the test when it is over
	full     chan struct{} // closed by stopVisits
	clients  errgroup.Group
	visitors errgroup.Group
	visits   atomic.Int64
	stop     sync.Once
}

// doors is how many clients connect at a time: with all at once, TLS handshakes
// would compete for the processors until they time out.
const doors = 16

// gather returns when all clients have begun to talk.
func gather(t *testing.T, inside int, dial dialer) *crowd {
	t.Helper()
	c := &crowd{dial: dial, inside: inside, doors: make(chan struct{}, doors), changed: make(chan struct{}), full: make(chan struct{})}
	begun := make(chan error, inside)
	for i := range inside {
		c.clients.Go(func() error {
			err := c.talk(i, begun)
			begun <- err // only the first value is received
			return err
		})
	}
	for range inside {
		require.NoError(t, <-begun)
	}
	for range 4 {
		c.visitors.Go(c.visit)
	}
	return c
}

// leave lets all clients say some more and leave, and checks that they missed
// nothing.
func (c *crowd) leave(t *testing.T) {
	t.Helper()
	close(c.changed)
	require.NoError(t, c.clients.Wait())
	c.stopVisits(t)
	t.Logf("%d clients talked on, %d visits", c.inside, c.visits.Load())
}

// stopVisits waits until no visitor is left. It may be called again.
func (c *crowd) stopVisits(t *testing.T) {
	t.Helper()
	c.stop.Do(func() { close(c.full) })
	require.NoError(t, c.visitors.Wait())
}

// talk is one client's conversation. It signals begun when it has got its first
// answer.
func (c *crowd) talk(id int, begun chan<- error) error {
	c.doors <- struct{}{}
	conn, err := c.dial()
	<-c.doors
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	lines := bufio.NewReader(conn)
	changed := c.changed
	for line, last := 0, -1; line != last; line++ {
		if err := exchange(conn, lines, fmt.Sprintf("client %d line %d %s\n", id, line, strings.Repeat("x", id))); err != nil {
			return fmt.Errorf("client %d, line %d: %w", id, line, err)
		}
		if line == 0 {
			begun <- nil
		}
		select {
		case <-changed:
			changed, last = nil, line+10
		case <-pace.C:
		}
	}
	return part(conn, lines)
}

// visit connects, says a line and leaves, again and again.
func (c *crowd) visit() error {
	for {
		select {
		case <-c.full:
			return nil
		default:
		}
		if err := visitOnce(c.dial); err != nil {
			return fmt.Errorf("visit %d: %w", c.visits.Load(), err)
		}
		c.visits.Add(1)
	}
}

// visitOnce connects, says a line and leaves.
func visitOnce(dial dialer) error {
	conn, err := dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	lines := bufio.NewReader(conn)
	if err := exchange(conn, lines, "a visit\n"); err != nil {
		return err
	}
	return part(conn, lines)
}

// exchange sends a line and requires it back.
func exchange(conn net.Conn, lines *bufio.Reader, line string) error {
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	got, err := lines.ReadString('\n')
	if err == nil && got != line {
		err = fmt.Errorf("%q came back as %q", line, got)
	}
	return err
}

// part ends a conversation. Only the end may follow.
func part(conn net.Conn, lines *bufio.Reader) error {
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	rest, err := io.ReadAll(lines)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q came after the end", rest)
	}
	return err
}
