//go:build unix

package soak

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"example.com/chanio"
)

var faultsFor = flag.Duration("soak.faults", 0, "how long to go on with one seed of faults after the other; 0 is one seed")

const (
	exchanges       = 120 // of a seed
	exchangesAtOnce = 12
)

// TestWhatIsToldIsWhatHappenedUnderFaults lets pairs of sessions talk while
// either side is slow, half-closed, or ends in any way in the middle. Both run
// in this process, so each side's account, counters and errors can be compared
// with what the other received.
func TestWhatIsToldIsWhatHappenedUnderFaults(t *testing.T) {
	began := time.Now()
	for seed := *soakSeed; seed == *soakSeed || time.Since(began) < *faultsFor; seed++ {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { faults(t, seed) }) {
			t.Fatalf("to repeat it: go test -race ./internal/test/soak -run Faults -soak.seed=%d", seed)
		}
	}
}

// A venue is where exchanges take place: a listener and its totals.
type venue struct {
	place
	served    role // of which all sessions of the listener have the options
	l         *chanio.Listener
	clientTLS *tls.Config

	mu    sync.Mutex // held from a dial to its session
	total chanio.Stats
}

// faults runs the exchanges of one seed.
func faults(t *testing.T, seed uint64) {
	k := &soak{}
	rng := rand.New(rand.NewPCG(seed, 600))
	var all []*venue
	for _, at := range places() {
		for _, at.Framed = range []bool{false, true} {
			if at.keepsMessages() && at.Framed {
				continue
			}
			for _, queue := range []int{-1, 1, 0} {
				served := drawRole(rng)
				served.Queue = queue
				all = append(all, openVenue(t, at, served))
			}
		}
	}
	var group errgroup.Group
	group.SetLimit(exchangesAtOnce)
	for i := range exchanges {
		v := all[rng.IntN(len(all))]
		roles := [2]role{drawRole(rng), drawRole(rng)}
		group.Go(func() error { return v.exchange(t.Context(), k, roles, seed<<16|uint64(i)) })
	}
	require.NoError(t, group.Wait())
	for _, v := range all {
		require.NoError(t, v.l.Close())
		st := v.l.Stats()
		var sums chanio.Stats
		addUp(&sums, st)
		if sums != v.total {
			k.problem("%+v: the listener's totals are %+v, its sessions' %+v", v.place, sums, v.total)
		}
	}
	udpFaults(t, k, rng)
	if more() {
		packetFaults(t, k, rng)
		hubFaults(t, k, rng)
	}
	k.report(t)
}

// more reports whether a seed includes what takes too long for a run with one
// seed: unixpacket, lossy networks, packet endpoints and hubs.
func more() bool { return *faultsFor > 0 }

// places returns where exchanges take place, on any address.
func places() []place {
	all := []place{{Network: "tcp"}, {Network: "unix"}, {Network: "tcp", TLS: true}}
	if runtime.GOOS == "linux" && more() {
		all = append(all, place{Network: "unixpacket"})
	}
	return all
}

// openVenue listens at a place.
func openVenue(t *testing.T, at place, served role) *venue {
	v := &venue{place: at, served: served}
	v.Address = "127.0.0.1:0"
	if strings.HasPrefix(at.Network, "unix") {
		v.Address = filepath.Join(t.TempDir(), "s")
	}
	server, err := chanio.ServerTLS("../../../testdata/server.crt", "../../../testdata/server.key")
	require.NoError(t, err)
	v.clientTLS, err = chanio.ClientTLS("../../../testdata/ca.crt")
	require.NoError(t, err)
	o := served.options(at)
	if at.TLS {
		o.TLS = server
	}
	v.l, err = chanio.Listen(t.Context(), v.Network, v.Address, o)
	require.NoError(t, err)
	t.Cleanup(func() { v.l.Close() })
	v.Address = v.l.Addr().String()
	return v
}

// exchange has one exchange, and judges it.
func (v *venue) exchange(ctx context.Context, k *soak, roles [2]role, id uint64) error {
	client, server, err := v.meet(ctx, roles, id)
	if err != nil {
		return err
	}
	defer client.stop(nil)
	var both sync.WaitGroup
	both.Go(func() { client.run(ctx, id, server.start) })
	both.Go(func() { server.run(ctx, id+1<<50, client.start) })
	both.Wait()
	judgeSides(client, server)
	v.mu.Lock()
	defer v.mu.Unlock()
	addUp(&v.total, server.s.Stats())
	if wrong := append(client.wrong, server.wrong...); len(wrong) > 0 {
		k.problem("%+v, exchange %d: %q\n\t%v\n\t%v", v.place, id&(1<<16-1), wrong, client, server)
	}
	return nil
}

// meet makes the two sides. The server's cannot hang up, and has the listener's
// options and context.
func (v *venue) meet(ctx context.Context, roles [2]role, id uint64) (client, server *side, err error) {
	client = &side{role: roles[0], name: "client", place: v.place, start: id * 7919}
	server = &side{role: roles[1], name: "server", place: v.place, start: id*7919 + 31337}
	if server.Way == hangUp || server.Way == cancel {
		server.Way = abort
	}
	server.Queue, server.Small = v.served.Queue, v.served.Small
	server.WriteAfter, server.CloseAfter = v.served.WriteAfter, v.served.CloseAfter
	client.MaxSize, server.MaxSize = client.sizeFor(server.role, v.place), server.sizeFor(client.role, v.place)
	ctx, client.stop = context.WithCancelCause(ctx)
	o := client.options(v.place)
	v.mu.Lock()
	defer v.mu.Unlock()
	if client.Way == hangUp || id%2 == 0 {
		conn, err := net.Dial(v.Network, v.Address)
		if err != nil {
			return nil, nil, err
		}
		client.wire = conn
		if v.TLS {
			config := v.clientTLS.Clone()
			config.ServerName = "localhost"
			conn = tls.Client(conn, config)
		}
		client.s = chanio.NewSession(ctx, conn, o)
	} else {
		if v.TLS {
			o.TLS = v.clientTLS
		}
		if client.s, err = chanio.Dial(ctx, v.Network, v.Address, o); err != nil {
			return nil, nil, err
		}
	}
	server.s = <-v.l.Sessions()
	return client, server, nil
}
