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

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

// measureRedis loads the server by redis-benchmark, which sends pipelines of
// GETs. Its length is a number of requests, from how long a few have taken.
func measureRedis(ctx context.Context, c bench.Config) (*report.Report, error) {
	n := 1000 * c.Messages
	warm, err := redisBenchmark(ctx, c, n)
	if err != nil {
		return nil, err
	}
	return redisBenchmark(ctx, c, max(n, int(warm.MessageRate()*c.Length.Seconds())))
}

func redisBenchmark(ctx context.Context, c bench.Config, requests int) (*report.Report, error) {
	host, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-t", "get", "--csv",
		"-c", strconv.Itoa(c.Clients), "-P", strconv.Itoa(c.Messages), "-n", strconv.Itoa(requests)).Output()
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
		Latency:  report.Percentiles{"p50": ms("p50_latency_ms"), "p95": ms("p95_latency_ms"), "p99": ms("p99_latency_ms"), "max": ms("max_latency_ms")},
	}, nil
}
