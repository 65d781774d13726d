package load_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/server"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// netpoll's pollers and pools live as long as the process.
		goleak.IgnoreAnyFunction("github.com/cloudwego/netpoll.(*defaultPoll).Wait"),
		goleak.IgnoreAnyFunction("github.com/cloudwego/gopkg/concurrency/gopool.(*GoPool).runWorker"),
		goleak.IgnoreAnyFunction("github.com/cloudwego/gopkg/concurrency/gopool.(*GoPool).runTicker"),
	)
}

// A trial is a server and a load in one process: three clients with messages of
// 32 bytes, unless it says otherwise.
type trial struct {
	job, net, impl, client  string
	framing                 string
	batch, deflate          bool
	clients, messages, size int
}

func TestEveryClientMeasuresEveryServer(t *testing.T) {
	const plain, own = "plain", "chanio"
	var trials []trial
	for _, net := range []string{bench.TCP, bench.TLS, bench.Unix, bench.UDP} {
		for _, impl := range []string{"std", "chanio"} {
			trials = append(trials, trial{job: "echo", net: net, impl: impl, client: plain})
		}
		trials = append(trials,
			trial{job: "echo", net: net, impl: "chanio", client: own},
			trial{job: "echo", net: net, impl: "chanio", client: own, batch: true})
	}
	for _, framing := range []string{bench.Prefix, bench.Lines} {
		trials = append(trials,
			trial{job: "echo", net: bench.TCP, impl: "std", client: plain, framing: framing},
			trial{job: "echo", net: bench.TCP, impl: "chanio", client: plain, framing: framing},
			trial{job: "echo", net: bench.TLS, impl: "chanio", client: plain, framing: framing, batch: true},
			trial{job: "echo", net: bench.TLS, impl: "chanio", client: own, framing: framing},
			trial{job: "echo", net: bench.TCP, impl: "chanio", client: own, framing: framing, batch: true})
	}
	for _, impl := range []string{"std", "coalesced", "loop", "limit", "chanio"} {
		trials = append(trials, trial{job: "multicast", net: bench.TCP, impl: impl, client: plain})
	}
	for _, impl := range []string{"chanio", "gorilla", "coder", "gws"} {
		trials = append(trials,
			trial{job: "echo", net: bench.WS, impl: impl, client: plain, size: 200},
			trial{job: "echo", net: bench.WS, impl: impl, client: plain, deflate: true, size: 1 << 10},
			trial{job: "multicast", net: bench.WS, impl: impl, client: plain, size: 70_000},
			trial{job: "multicast", net: bench.WS, impl: impl, client: plain, deflate: true, size: 1 << 10})
	}
	for _, c := range append(trials,
		trial{job: "echo", net: bench.TCP, impl: "netpoll", client: plain},
		trial{job: "echo", net: bench.UDP, impl: "packetconn", client: plain},
		trial{job: "echo", net: bench.UDP, impl: "packetconn", client: plain, batch: true},
		trial{job: "echo", net: bench.TCP, impl: "std", client: plain, size: 1 << 20, messages: 30},
		trial{job: "echo", net: bench.TCP, impl: "chanio", client: own, size: 1 << 20, messages: 30},
		trial{job: "echo", net: bench.TCP, impl: "std", client: plain, size: 1, messages: 1, clients: 1},
		trial{job: "echo", net: bench.WS, impl: "chanio", client: plain, batch: true},
		trial{job: "multicast", net: bench.TLS, impl: "std", client: plain},
		trial{job: "multicast", net: bench.TLS, impl: "chanio", client: plain},
		trial{job: "multicast", net: bench.TCP, impl: "chanio", client: own},
		trial{job: "multicast", net: bench.UDP, impl: "std", client: plain},
		trial{job: "multicast", net: bench.UDP, impl: "chanio", client: plain},
		trial{job: "multicast", net: bench.UDP, impl: "chanio", client: own},
	) {
		name := strings.Join([]string{c.job, c.net, c.impl, c.client, c.framing, fmt.Sprint(c.batch, c.deflate, c.size)}, " ")
		t.Run(name, c.test)
	}
}

func (c trial) test(t *testing.T) {
	c.clients, c.messages, c.size = cmp.Or(c.clients, 3), cmp.Or(c.messages, 100), cmp.Or(c.size, 32)
	host, port := "", 0
	switch {
	case c.net == bench.Unix:
		host = filepath.Join(t.TempDir(), "socket")
	case c.net == bench.UDP && c.job == "multicast":
		var err error
		port, err = bench.FreeGroupPort()
		require.NoError(t, err)
	}
	config := bench.Config{
		Job: c.job, Net: c.net, Impl: c.impl, Client: c.client, Clients: c.clients, Size: c.size,
		Framing: c.framing, Batch: c.batch, Deflate: c.deflate, Warmup: 50 * time.Millisecond, Length: 100 * time.Millisecond,
	}
	require.NoError(t, config.Locate(host, port))
	s, err := server.Start(config)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	config.Address, config.Messages = s.Addr, c.messages

	r, err := load.Run(t.Context(), config, nil)
	for ; err == nil && r.Messages == 0 && r.Errors == 0 && config.Length < time.Minute; config.Length *= 4 { // a slow machine
		r, err = load.Run(t.Context(), config, nil)
	}
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstError)
	require.Positive(t, r.Messages)
	if !c.deflate { // a message that was begun before the window counts in it
		require.GreaterOrEqual(t, r.Bytes, (r.Messages-int64(c.clients))*int64(c.size))
	}
	if c.job == "echo" {
		require.NotNil(t, r.Latency)
	}
}

func TestAnErrorOfAClientIsReported(t *testing.T) {
	c := bench.Config{Job: "multicast", Net: bench.TCP, Address: "127.0.0.1:0", Impl: "limit", Size: 7, Clients: 2}
	// A multicast server sends messages that no echo client has sent.
	s, err := server.Start(c)
	require.NoError(t, err)
	defer s.Close()
	r, err := load.Run(t.Context(), bench.Config{
		Job: "echo", Net: bench.TCP, Address: s.Addr, Client: "plain", Clients: 2, Messages: 1, Size: 32,
		Warmup: 200 * time.Millisecond, Length: 100 * time.Millisecond,
	}, nil)
	require.NoError(t, err)
	require.Equal(t, int64(2), r.Errors)
	require.Equal(t, "the echo differs from what was sent", r.FirstError)
}

func TestWhatCannotBeRunIsAnError(t *testing.T) {
	for _, c := range []struct {
		name, want string
		config     bench.Config
	}{
		{"no clients", "must be positive", bench.Config{Job: "echo", Client: "plain", Messages: 1, Size: 1}},
		{"no such job", `no job "sing"`, bench.Config{Job: "sing", Client: "plain", Clients: 1, Messages: 1, Size: 1}},
		{"no such client", `no client "other" for echo`, bench.Config{Job: "echo", Client: "other", Clients: 1, Messages: 1, Size: 1}},
		{"datagrams without room for a number", "at least 8 bytes",
			bench.Config{Job: "echo", Net: bench.UDP, Client: "plain", Clients: 1, Messages: 1, Size: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load.Run(t.Context(), c.config, nil)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestServersThatDoNotExistAreErrors(t *testing.T) {
	for _, c := range [][2]string{{"sing", "std"}, {"echo", "other"}, {"multicast", "other"}} {
		_, err := server.Start(bench.Config{Job: c[0], Impl: c[1]})
		require.Error(t, err, strconv.Quote(c[0]+" "+c[1]))
	}
}
