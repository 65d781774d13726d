package trial

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRedisBenchmarksOutputIsAReport(t *testing.T) {
	r, err := redisReport([]byte(`"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"GET","200000.00","0.030","0.008","0.031","0.039","0.047","1.375"
`), 100_000)
	require.NoError(t, err)
	require.InDelta(t, 200_000, r.MessageRate(), 0.1)
	require.Equal(t, 31*time.Microsecond, r.Latency["p50"])
	require.Equal(t, 47*time.Microsecond, r.Latency["p99"])

	for _, other := range []string{"", "Could not connect", "a,b\n1,2\n"} {
		_, err := redisReport([]byte(other), 1)
		require.ErrorContains(t, err, "redis-benchmark says")
	}
}
