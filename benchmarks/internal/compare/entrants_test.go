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
