package load_test

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/benchmarks/internal/endpoint"
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

// A trial is a server and a load in one process.
type trial struct {
	name, job, net, impl, client string
	clients, messages, size      int
	frame                        bool
	batch                        bool
}

func TestEveryClientMeasuresEveryServer(t *testing.T) {
	for _, c := range []trial{
		{name: "tcp", job: "echo", net: endpoint.TCP, impl: "std", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "unix", job: "echo", net: endpoint.Unix, impl: "std", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "tls", job: "echo", net: endpoint.TLS, impl: "std", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "udp", job: "echo", net: endpoint.UDP, impl: "std", client: "plain", clients: 3, messages: 10, size: 32},
		{name: "more in flight than the kernel holds", job: "echo", net: endpoint.TCP, impl: "std", client: "plain", clients: 2, messages: 30, size: 1 << 20},
		{name: "one byte", job: "echo", net: endpoint.TCP, impl: "std", client: "plain", clients: 1, messages: 1, size: 1},
		{name: "frames", job: "echo", net: endpoint.TCP, impl: "std", client: "plain", clients: 3, messages: 100, size: 32, frame: true},
		{name: "netpoll", job: "echo", net: endpoint.TCP, impl: "netpoll", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "chanio", job: "echo", net: endpoint.TCP, impl: "chanio", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "chanio, unix", job: "echo", net: endpoint.Unix, impl: "chanio", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "chanio, tls", job: "echo", net: endpoint.TLS, impl: "chanio", client: "plain", clients: 3, messages: 100, size: 32},
		{name: "chanio, frames", job: "echo", net: endpoint.TCP, impl: "chanio", client: "plain", clients: 3, messages: 100, size: 32, frame: true},
		{name: "chanio, both ends", job: "echo", net: endpoint.TCP, impl: "chanio", client: "chanio", clients: 3, messages: 100, size: 32},
		{name: "chanio, both ends, frames", job: "echo", net: endpoint.TLS, impl: "chanio", client: "chanio", clients: 3, messages: 100, size: 32, frame: true},
		{name: "chanio, batches", job: "echo", net: endpoint.TCP, impl: "chanio", client: "plain", clients: 3, messages: 100, size: 32, batch: true},
		{name: "chanio, batches, frames", job: "echo", net: endpoint.TLS, impl: "chanio", client: "plain", clients: 3, messages: 100, size: 32, frame: true, batch: true},
		{name: "chanio, batches, both ends", job: "echo", net: endpoint.TCP, impl: "chanio", client: "chanio", clients: 3, messages: 100, size: 32, batch: true},
		{name: "chanio, batches, both ends, frames", job: "echo", net: endpoint.TCP, impl: "chanio", client: "chanio", clients: 3, messages: 100, size: 32, frame: true, batch: true},
		{name: "chanio, both ends, large", job: "echo", net: endpoint.TCP, impl: "chanio", client: "chanio", clients: 2, messages: 30, size: 1 << 20},

		{name: "a channel a member", job: "multicast", net: endpoint.TCP, impl: "std", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "a channel a member, tls", job: "multicast", net: endpoint.TLS, impl: "std", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "a channel a member, netpoll", job: "multicast", net: endpoint.TCP, impl: "netpoll", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "coalesced", job: "multicast", net: endpoint.TCP, impl: "coalesced", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "loop", job: "multicast", net: endpoint.TCP, impl: "loop", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "limit", job: "multicast", net: endpoint.TCP, impl: "limit", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "hub", job: "multicast", net: endpoint.TCP, impl: "chanio", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "hub, tls", job: "multicast", net: endpoint.TLS, impl: "chanio", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "hub, both ends", job: "multicast", net: endpoint.TCP, impl: "chanio", client: "chanio", clients: 3, messages: 1, size: 32},
		{name: "group", job: "multicast", net: endpoint.UDP, impl: "std", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "group, chanio", job: "multicast", net: endpoint.UDP, impl: "chanio", client: "plain", clients: 3, messages: 1, size: 32},
		{name: "group, chanio, both ends", job: "multicast", net: endpoint.UDP, impl: "chanio", client: "chanio", clients: 3, messages: 1, size: 32},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t) })
	}
}

func (c trial) test(t *testing.T) {
	t.Helper()
	host, port := endpoint.DefaultAddress(c.net, c.job == "multicast"), 0
	switch {
	case c.net == endpoint.Unix:
		host = filepath.Join(t.TempDir(), "socket")
	case c.net == endpoint.UDP && c.job == "multicast":
		var err error
		port, err = endpoint.FreeGroupPort()
		require.NoError(t, err)
	}
	at, err := endpoint.New(c.net, host, port)
	require.NoError(t, err)
	if c.net == endpoint.TLS {
		at.ServerTLS, err = endpoint.ServerTLS("", "")
		require.NoError(t, err)
		at.ClientTLS, err = endpoint.ClientTLS("")
		require.NoError(t, err)
	}

	s, err := server.Start(t.Context(), c.job, server.Config{
		Endpoint: at, Impl: c.impl, Frame: c.frame, Batch: c.batch, ReadBuffer: 4 << 10,
		Size: c.size, Members: c.clients, Lag: "block",
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	at.Address = s.Addr()

	r, err := load.Run(t.Context(), c.job, load.Config{
		Endpoint: at, Client: c.client, Clients: c.clients, Messages: c.messages, Size: c.size,
		Frame: c.frame, Batch: c.batch, Check: true, Length: 300 * time.Millisecond,
	})
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstError)
	require.Positive(t, r.Messages)
	require.GreaterOrEqual(t, r.Bytes, r.Messages*int64(c.size))
	if c.job == "echo" {
		require.NotNil(t, r.Latency)
	}
}

func TestAnErrorOfAClientIsReported(t *testing.T) {
	at, err := endpoint.New(endpoint.TCP, "127.0.0.1", 0)
	require.NoError(t, err)
	// A multicast server sends messages that no echo client has sent.
	s, err := server.Start(t.Context(), "multicast", server.Config{Endpoint: at, Impl: "limit", Size: 7, Members: 2})
	require.NoError(t, err)
	defer s.Close()
	at.Address = s.Addr()
	r, err := load.Run(t.Context(), "echo", load.Config{
		Endpoint: at, Client: "plain", Clients: 2, Messages: 1, Size: 32, Check: true, Length: 300 * time.Millisecond,
	})
	require.NoError(t, err)
	require.Equal(t, int64(2), r.Errors)
	require.Equal(t, "the echo differs from what was sent", r.FirstError)
}

func TestWhatCannotBeRunIsAnError(t *testing.T) {
	udp := endpoint.Endpoint{Net: endpoint.UDP, Address: "127.0.0.1:9"}
	for _, c := range []struct {
		name, job, want string
		config          load.Config
	}{
		{"no clients", "echo", "must be positive", load.Config{Client: "plain", Messages: 1, Size: 1}},
		{"no such job", "sing", `no sing client "plain"`, load.Config{Client: "plain", Clients: 1, Messages: 1, Size: 1}},
		{"no such client", "echo", `no echo client "other"`, load.Config{Client: "other", Clients: 1, Messages: 1, Size: 1}},
		{"datagrams without room for a number", "echo", "at least 8 bytes", load.Config{Endpoint: udp, Client: "plain", Clients: 1, Messages: 1, Size: 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load.Run(t.Context(), c.job, c.config)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestServersThatDoNotExistAreErrors(t *testing.T) {
	for _, c := range [][2]string{{"sing", "std"}, {"echo", "other"}, {"multicast", "other"}} {
		_, err := server.Start(t.Context(), c[0], server.Config{Impl: c[1]})
		require.Error(t, err, strconv.Quote(c[0]+" "+c[1]))
	}
}
