package compare

import (
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

func TestEveryEntrantIsMeasured(t *testing.T) {
	const both, bothBatches = "chanio-both-ends", "chanio-batches-both-ends"
	done := make(map[bench.Config]bool)
	for _, s := range append(Catalogue(), // and what only the commands serve and load do
		Scenario{Name: "unix-echo-3x100", Entrants: []string{Std, Netpoll, Ours, Batches, both, bothBatches}},
		Scenario{Name: "tls-echo-3x100", Entrants: []string{both, bothBatches}},
		Scenario{Name: "tls-framed-3x100", Entrants: []string{both, Batches}},
		Scenario{Name: "tls-lines-3x100", Entrants: []string{both, Batches}},
		Scenario{Name: "tcp-echo-3x30-1MiB", Entrants: []string{Std, both}}, // more than the kernel holds
		Scenario{Name: "tcp-multicast-3", Entrants: []string{Loop, both}},
		Scenario{Name: "tls-multicast-3", Entrants: []string{both}},
		Scenario{Name: "ws-multicast-3-64KiB", Entrants: []string{Ours, "gorilla", "coder", "gws"}},
	) {
		s.Config = configOf(s.Name)
		for _, entrant := range s.Entrants {
			c := s.config(entrant, Settings{Warmup: 20 * time.Millisecond})
			c.Clients, c.Messages, c.Pinned, c.Length = 3, min(c.Messages, 100), false, 50*time.Millisecond
			if c.Job == "idle" || c.Job == "redis" || done[c] { // which need another process
				continue
			}
			done[c] = true
			t.Run(s.Name+" "+entrant, func(t *testing.T) { measureHere(t, c) })
		}
	}
}

// measureHere runs server and load in this process.
func measureHere(t *testing.T, c bench.Config) {
	require.NoError(t, c.LocateFree())
	s, err := server.Start(c)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	c.Address = s.Addr
	r, err := load.Run(t.Context(), c, nil)
	for ; (err != nil || r.Messages == 0 && r.Errors == 0) && c.Length < time.Minute; c.Length *= 4 { // a slow machine
		r, err = load.Run(t.Context(), c, nil)
	}
	require.NoError(t, err)
	require.Zero(t, r.Errors, r.FirstError)
	require.Positive(t, r.Messages)
	if !c.Deflate && r.Bytes > 0 { // a message that was begun before the window counts in it
		require.GreaterOrEqual(t, r.Bytes, (r.Messages-int64(c.Clients))*int64(c.Size))
	}
	if c.Job != "multicast" {
		require.NotNil(t, r.Latency)
	}
	if c.Publish {
		require.NotNil(t, s.Published.Percentiles())
	}
}

func setOf(t *testing.T, name string) []string {
	t.Helper()
	in, err := Select(name, "")
	require.NoError(t, err)
	var names []string
	for _, s := range in {
		names = append(names, s.Name)
	}
	return names
}

func TestTheTwelveScenariosOfCppServer(t *testing.T) {
	require.ElementsMatch(t, []string{
		"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-multicast-1", "tcp-multicast-100",
		"tls-echo-1x1000", "tls-echo-100x1000", "tls-multicast-1", "tls-multicast-100",
		"udp-echo-1x1000", "udp-echo-100x1000", "udp-multicast-1", "udp-multicast-100",
	}, setOf(t, "cppserver"))
}

func TestGrowthHasItsScenarios(t *testing.T) {
	require.Equal(t, []string{"tcp-echo-1x1", "tcp-echo-10x1", "tcp-echo-100x1", "tcp-echo-1000x1", "tcp-echo-10000x1"}, setOf(t, "clients"))
	require.Len(t, setOf(t, "sizes"), 6)
}

func TestNamesSayWhatTheJobIs(t *testing.T) {
	for _, c := range []struct {
		name string
		want bench.Config
	}{
		{"tcp-echo-1x1-pinned",
			bench.Config{Job: "echo", Net: bench.TCP, Clients: 1, Messages: 1, Size: 32, Pinned: true}},
		{"tcp-framed-1x1-64KiB",
			bench.Config{Job: "echo", Net: bench.TCP, Clients: 1, Messages: 1, Size: 64 << 10, Framing: bench.Prefix}},
		{"udp-multicast-100",
			bench.Config{Job: "multicast", Net: bench.UDP, Clients: 100, Size: 32, KernelBuffer: datagramBuffer}},
		{"ws-multicast-5000-1KiB-deflate",
			bench.Config{Job: "multicast", Net: bench.WS, Clients: 5000, Size: 1 << 10, Deflate: true}},
		{"tcp-publish-100",
			bench.Config{Job: "multicast", Net: bench.TCP, Clients: 100, Size: 32, Publish: true}},
		{"tcp-idle-10000-lines",
			bench.Config{Job: "idle", Net: bench.TCP, Clients: 10_000, Size: 32, Framing: bench.Lines}},
		{"tls-churn-resumed",
			bench.Config{Job: "churn", Net: bench.TLS, Clients: churnClients, Size: 32, Resume: true}},
		{"tcp-redis-50x16",
			bench.Config{Job: "redis", Net: bench.TCP, Clients: 50, Messages: 16, Size: 32}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Client = "plain"
			in, err := Select("all", "^"+c.name+"$")
			require.NoError(t, err)
			require.Equal(t, c.want, in[0].Config)
		})
	}
}

func TestTheReadmeHasWhatItShowsAndTheBars(t *testing.T) {
	in := setOf(t, "readme")
	for _, set := range []string{"cppserver", "bars", "clients", "sizes"} {
		require.Subset(t, in, setOf(t, set), set)
	}
}

func TestScenarioNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, name := range setOf(t, "all") {
		require.False(t, seen[name], name)
		seen[name] = true
	}
	for _, s := range Catalogue() {
		require.Contains(t, append(s.Entrants, "-"), s.Base, s.Name)
	}
}

func TestEachBarHasItsScenario(t *testing.T) {
	has := make(map[Figure]bool)
	for _, s := range Catalogue() {
		for _, e := range s.Entrants {
			has[Figure{Scenario: s.Name, Entrant: e}] = true
		}
	}
	for _, b := range Bars() {
		require.True(t, b.Stated || b.Want > 0, "%+v", b)
		for _, f := range append([]Figure{b.Figure}, b.To...) {
			require.True(t, has[Figure{Scenario: f.Scenario, Entrant: f.Entrant}], "%+v", f)
		}
	}
}
