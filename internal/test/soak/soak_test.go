//go:build unix

// Package soak has a long random test over real sockets: clients of every
// transport, in this process and in others, end in every way there is, while
// the server restarts. A model says what must have arrived.
package soak

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"example.com/chanio"
	"example.com/chanio/internal/test/child"
)

var (
	soakFor  = flag.Duration("soak.for", 0, "how long to go on with one seed after the other; 0 is a few seeds")
	soakSeed = flag.Uint64("soak.seed", 1, "the first seed")
)

// seeds is the number of seeds without -soak.for.
const seeds = 4

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestChild is not a test of its own: a child process runs it.
func TestChild(t *testing.T) {
	child.Play(t, child.Parts{"clients": playClients})
}

func TestWhatWasFlushedBeforeACleanCloseArrives(t *testing.T) {
	if testing.Short() {
		t.Skip("it is long")
	}
	began := time.Now()
	for seed := *soakSeed; ; seed++ {
		if *soakFor > 0 && time.Since(began) >= *soakFor || *soakFor == 0 && seed >= *soakSeed+seeds {
			return
		}
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { round(t, seed) })
		if !ok {
			t.Fatalf("to repeat it: go test -race ./internal/test/soak -run '^TestWhat' -soak.seed=%d", seed)
		}
	}
}

const (
	here      = 120 // clients of this process
	elsewhere = 30  // clients of each child
	atOnce    = 40  // conversations at once, in a process
)

// A soak is one round: servers, and clients that come and go.
type soak struct {
	serverTLS *tls.Config
	clientTLS *tls.Config
	servers   map[string]*server

	mu       sync.Mutex
	problems []string
	outcomes []outcome
}

func (k *soak) problem(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problems = append(k.problems, fmt.Sprintf(format, args...))
}

func (k *soak) ended(o outcome) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.outcomes = append(k.outcomes, o)
}

// transports are the names of the servers.
var transports = []string{"tcp", "tcp framed", "unix", "unix framed", "tls", "tls framed"}

// round runs the servers, lets all clients come and go, and judges.
func round(t *testing.T, seed uint64) {
	warmUp(t)
	descriptors, goroutines := openDescriptors(t), goleak.IgnoreCurrent()
	k := newSoak(t, seed)
	restarting, stopRestarting := context.WithCancel(t.Context())
	publishing, stopPublishing := context.WithCancel(t.Context())
	restarts := 0
	var restarter, publishers, clients sync.WaitGroup
	restarter.Go(func() { restarts = k.restartSome(restarting, rand.New(rand.NewPCG(seed, 1))) })
	for i, name := range transports {
		if srv := k.servers[name]; srv.hub {
			publishers.Go(func() { srv.publish(publishing, rand.New(rand.NewPCG(seed, 10+uint64(i)))) })
		}
	}
	datagrams := startDatagrams(t, k, seed)
	k.startHere(t, &clients, seed)
	k.startElsewhere(t, &clients, seed)

	datagrams.clients.Wait()
	clients.Wait()
	stopRestarting()
	restarter.Wait()
	stopPublishing()
	publishers.Wait()
	datagrams.end(t)
	for _, name := range transports {
		k.servers[name].end(t)
	}
	clean := k.judge()
	k.report(t)
	t.Logf("%d conversations, %d of them clean; %d restarts; %s", len(k.outcomes), clean, restarts, datagrams)
	require.Greater(t, clean, len(k.outcomes)/8, "fewer clean conversations show little")
	require.Equal(t, descriptors, openDescriptors(t), "descriptors")
	goleak.VerifyNone(t, goroutines)
}

// newSoak starts a server of each transport.
func newSoak(t *testing.T, seed uint64) *soak {
	k := &soak{servers: make(map[string]*server)}
	var err error
	k.serverTLS, err = chanio.ServerTLS("../../../testdata/server.crt", "../../../testdata/server.key")
	require.NoError(t, err)
	k.clientTLS, err = chanio.ClientTLS("../../../testdata/ca.crt")
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, name := range transports {
		base, style, _ := strings.Cut(name, " ")
		at := place{Network: "tcp", Framed: style == "framed", TLS: base == "tls"}
		if base == "unix" {
			at.Network, at.Address = "unix", filepath.Join(t.TempDir(), "s")
		}
		k.servers[name] = serve(t, k, at, rng)
	}
	return k
}

// report fails the test with what went wrong.
func (k *soak) report(t *testing.T) {
	t.Helper()
	const most = 20
	for _, problem := range k.problems[:min(most, len(k.problems))] {
		t.Error(problem)
	}
	if more := len(k.problems) - most; more > 0 {
		t.Errorf("and %d more", more)
	}
}

// restartSome restarts a server now and then, until ctx ends. It returns the
// number of restarts.
func (k *soak) restartSome(ctx context.Context, rng *rand.Rand) int {
	for n := 0; ; n++ {
		pause(time.Duration(100+rng.IntN(400))*time.Millisecond, ctx.Done())
		if ctx.Err() != nil {
			return n
		}
		k.servers[transports[rng.IntN(len(transports))]].restart()
	}
}

// options returns the options of a client.
func (k *soak) options(at place, p plan) *chanio.Options {
	o := at.options(p.Queue)
	if at.TLS {
		o.TLS = k.clientTLS
	}
	o.Backoff = chanio.Backoff{Min: time.Millisecond, Max: 50 * time.Millisecond}
	return o
}

// startHere starts the clients of this process.
func (k *soak) startHere(t *testing.T, clients *sync.WaitGroup, seed uint64) {
	clients.Go(func() {
		converseAll(t.Context(), plans(seed, 0, here), func(p plan) outcome {
			at := k.servers[p.Transport].place
			c := client{place: at, plan: p, o: k.options(at, p)}
			return c.run(t.Context())
		}, k.ended)
	})
}

// converseAll runs a client of each plan, atOnce at a time, until all are done
// or ctx ends, and reports what became of each.
func converseAll(ctx context.Context, all []plan, run func(p plan) outcome, ended func(outcome)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, p := range all {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { ended(run(p)); return nil })
	}
	group.Wait()
}

// plans draws the plans of n clients of a process.
func plans(seed uint64, process, n int) []plan {
	rng := rand.New(rand.NewPCG(seed, 100+uint64(process)))
	all := make([]plan, n)
	for i := range all {
		all[i] = draw(rng, seed<<20|uint64(process)<<10|uint64(i)|1<<50, transports)
	}
	return all
}

// warmUp opens what the runtime opens once and keeps.
func warmUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}

// openDescriptors counts the open descriptors, where the system has them as
// files.
func openDescriptors(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(t, err)
	return len(all)
}
