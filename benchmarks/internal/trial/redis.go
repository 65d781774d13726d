package trial

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"time"

	"example.com/chanio/benchmarks/internal/process"
	"example.com/chanio/benchmarks/internal/report"
)

// MeasureRedis is Measure with redis-benchmark, which sends pipelines of GETs.
// Its length is a number of requests, from how long a few have taken.
func (t *Trial) MeasureRedis(ctx context.Context) (*report.Report, error) {
	return t.measure(ctx, func(ctx context.Context, _ *process.Child) (*report.Report, error) {
		n := 1000 * t.Load.Messages
		warm, err := t.redisBenchmark(ctx, n)
		if err != nil {
			return nil, err
		}
		return t.redisBenchmark(ctx, max(n, int(warm.MessageRate()*t.Load.Length.Seconds())))
	})
}

func (t *Trial) redisBenchmark(ctx context.Context, requests int) (*report.Report, error) {
	host, port, err := net.SplitHostPort(t.Load.Endpoint.Address)
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-t", "get", "--csv",
		"-c", strconv.Itoa(t.Load.Clients), "-P", strconv.Itoa(t.Load.Messages), "-n", strconv.Itoa(requests))
	out, err := c.Output()
	if err != nil {
		return nil, err
	}
	return redisReport(out, requests)
}

// redisReport reads redis-benchmark's output: a row of names and one of figures.
func redisReport(out []byte, requests int) (*report.Report, error) {
	rows, err := csv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 2 {
		return nil, errors.Join(fmt.Errorf("redis-benchmark says %q", out), err)
	}
	figures := make(map[string]float64)
	for i, name := range rows[0] {
		figures[name], _ = strconv.ParseFloat(rows[1][i], 64) // the test's name is no number
	}
	rate := figures["rps"]
	if rate == 0 {
		return nil, fmt.Errorf("redis-benchmark says %q", out)
	}
	ms := func(name string) time.Duration { return time.Duration(figures[name] * float64(time.Millisecond)) }
	return &report.Report{
		Messages: int64(requests),
		Time:     time.Duration(float64(requests) / rate * float64(time.Second)),
		Latency:  &report.Percentiles{P50: ms("p50_latency_ms"), P95: ms("p95_latency_ms"), P99: ms("p99_latency_ms"), Max: ms("max_latency_ms")},
	}, nil
}
