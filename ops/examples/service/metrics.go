package main

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/chanio"
	"example.com/chanio/ops"
)

// A metricsServer answers scrapes.
type metricsServer struct {
	http *http.Server
	done sync.WaitGroup
}

// serveMetrics serves the counters of l and of the process on ln.
func serveMetrics(l *chanio.Listener, ln net.Listener) *metricsServer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		ops.NewCollector(map[string]ops.StatsSource{"clients": l}),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	m := &metricsServer{http: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	m.done.Go(func() { m.http.Serve(ln) }) // its error says that it was closed
	return m
}

// close waits a few seconds for scrapes in progress. It may be called more than
// once.
func (m *metricsServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if m.http.Shutdown(ctx) != nil {
		m.http.Close()
	}
	m.done.Wait()
}
