package hostile

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

const (
	goodClients = 8
	trips       = 200 // that each client makes in a phase, at least
	tripSize    = 64
)

// goodOnes are clients that do nothing wrong: they send, and wait for the echo.
type goodOnes struct {
	t     *testing.T
	r     *remote
	conns []net.Conn
}

func connectGood(t *testing.T, r *remote) *goodOnes {
	t.Helper()
	g := &goodOnes{t: t, r: r}
	for range goodClients {
		conn := r.dial(t)
		_, err := conn.Write([]byte{wantEcho})
		require.NoError(t, err)
		g.conns = append(g.conns, conn)
	}
	return g
}

// dial connects a client that may wait for patience in everything that it does.
func (r *remote) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := r.dialTo()
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (r *remote) dialTo() (net.Conn, error) { return r.dialWithin(patience) }

func (r *remote) dialWithin(d time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(r.network, r.address, d)
	if err != nil || !r.tls {
		return conn, err
	}
	config, err := chanio.ClientTLS("../../../testdata/ca.crt")
	if err != nil {
		conn.Close()
		return nil, err
	}
	config.ServerName = "127.0.0.1"
	tc := tls.Client(conn, config)
	tc.SetDeadline(time.Now().Add(d))
	if err := tc.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return tc, nil
}

// trip sends a message and waits for its echo.
func trip(conn net.Conn, message byte) error {
	sent := slices.Repeat([]byte{message}, tripSize)
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(sent); err != nil {
		return err
	}
	got := make([]byte, tripSize)
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if !slices.Equal(sent, got) {
		return fmt.Errorf("sent %d times %d and got %d", tripSize, message, got)
	}
	return nil
}

// latencies are those of the good clients' round trips.
type latencies []time.Duration

func (l latencies) at(q float64) time.Duration {
	return l[min(len(l)-1, int(q*float64(len(l))))].Round(time.Microsecond)
}

func (l latencies) String() string {
	return fmt.Sprintf("p50 %v, p99 %v, of %d", l.at(0.5), l.at(0.99), len(l))
}

// phase has every good client make its trips, and goes on until busy, which may
// be nil, is closed too. All trips must succeed.
func (g *goodOnes) phase(busy <-chan struct{}) latencies {
	g.t.Helper()
	return g.start(busy)()
}

// start starts a phase, and end waits until it is over.
func (g *goodOnes) start(busy <-chan struct{}) (end func() latencies) {
	began := time.Now()
	goOn := func(n int) bool {
		if n < trips || time.Since(began) < *measure {
			return true
		}
		select {
		case <-busy:
			return false
		default:
			return busy != nil
		}
	}
	took := make([]latencies, len(g.conns))
	errs := make([]error, len(g.conns))
	var wg sync.WaitGroup
	for i, conn := range g.conns {
		wg.Go(func() {
			for n := 0; goOn(n) && errs[i] == nil; n++ {
				start := time.Now()
				errs[i] = trip(conn, byte(n))
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	return func() latencies {
		g.t.Helper()
		wg.Wait()
		for _, err := range errs {
			require.NoError(g.t, err, "a good client")
		}
		all := slices.Concat(took...)
		slices.Sort(all)
		return all
	}
}

// until runs phases until the server's state is right.
func (g *goodOnes) until(what string, right func(st state) bool) latencies {
	g.t.Helper()
	all := g.phase(nil)
	for began := time.Now(); !right(g.r.state()); {
		require.Less(g.t, time.Since(began), patience, "waited too long for "+what)
		all = append(all, g.phase(nil)...)
	}
	slices.Sort(all)
	return all
}

// newcomers connects n good clients, one after another. Each makes one trip.
func (g *goodOnes) newcomers(n int) latencies {
	g.t.Helper()
	all, _ := g.persistent(n)
	return all
}

// persistent connects newcomers that try again after one of the errors in
// again, and returns how often they did.
func (g *goodOnes) persistent(n int, again ...error) (all latencies, tries int) {
	g.t.Helper()
	for range n {
		start := time.Now()
		err := g.newcomer()
		isAgain := func(e error) bool { return errors.Is(err, e) }
		for ; slices.ContainsFunc(again, isAgain) && time.Since(start) < patience; tries++ {
			err = g.newcomer()
		}
		require.NoError(g.t, err, "a new good client")
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	return all, tries
}

func (g *goodOnes) newcomer() error {
	conn, err := g.r.dialTo()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{wantEcho}); err != nil {
		return err
	}
	return trip(conn, 1)
}

// close ends the good clients.
func (g *goodOnes) close() {
	for _, conn := range g.conns {
		conn.Close()
	}
}

// report logs a line of the table.
func report(t *testing.T, before, during latencies, more ...any) {
	t.Logf("before: %v; during: %v; %s", before, during, strings.TrimSuffix(fmt.Sprintln(more...), "\n"))
}
