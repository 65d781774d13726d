package report

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPrintHasTheLinesOfCppServersClients(t *testing.T) {
	r := &Report{
		Errors: 2, FirstError: "connection reset", Time: 2 * time.Second, Bytes: 3 << 20, Messages: 98304, Lost: 5,
		Latency: Percentiles{"p50": 9500, "p90": 20 * time.Microsecond, "p99": 3 * time.Millisecond, "p99.9": time.Second, "max": 2 * time.Second},
		Server:  &Used{CPU: 1250 * time.Millisecond, Peak: 10 << 20},
	}
	var text strings.Builder
	r.Print(&text)
	require.Equal(t, `Errors: 2
First error: connection reset

Total time: 2 s
Total data: 3 MiB
Total messages: 98304
Data throughput: 1.5 MiB/s
Message latency: 20.34 µs
Message throughput: 49152 msg/s

Round trip: p50 9.5 µs, p90 20 µs, p99 3 ms, p99.9 1 s, max 2 s
Lost datagrams: 5
Server: 1.25 CPU s, peak memory 10 MiB
`, text.String())
}

func TestReportOfNothingHasNoRates(t *testing.T) {
	var r Report
	require.Zero(t, r.MessageRate())
	require.Zero(t, r.ByteRate())
	var text strings.Builder
	r.Print(&text)
	require.NotContains(t, text.String(), "NaN")
}

func TestPercentilesAreOfAllShards(t *testing.T) {
	l := NewLatencies(3)
	require.Nil(t, l.Percentiles())
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			l.Shard(i).Record(time.Millisecond, 50)
			l.Shard(i).Record(time.Millisecond, 49)
			l.Shard(i).Record(time.Hour, 1) // more than the resolution distinguishes
		})
	}
	wg.Wait()
	p := l.Percentiles()
	require.InEpsilon(t, time.Millisecond, p["p50"], 0.002)
	require.InEpsilon(t, time.Millisecond, p["p99"], 0.002)
	require.InEpsilon(t, time.Minute, p["p99.9"], 0.002)
}
