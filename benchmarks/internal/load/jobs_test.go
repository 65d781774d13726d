package load_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/load"
	"example.com/chanio/benchmarks/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
