package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The README names three questions that an operator asks. The test asks them of
// a real Prometheus that scrapes the service, and knows the right answers.
func TestPrometheusAnswersWhatAnOperatorAsks(t *testing.T) {
	binary := need(t, "prometheus", "prometheus")
	readme, err := os.ReadFile("service/README.md")
	require.NoError(t, err)
	s := startService(t)
	prometheus := startPrometheus(t, binary, s.metrics)
	dial := greeted(dialTo("tcp", s.clients))
	for range 5 {
		require.NoError(t, visitOnce(dial)) // a line of 8 bytes each
	}
	clients := gather(t, 3, dial)
	clients.stopVisits(t)
	for _, q := range []struct {
		query string
		right func(value float64) bool
	}{
		{`sum(chanio_sessions)`, func(v float64) bool { return v == 3 }},
		{`sum(rate(chanio_received_messages_total[1m]))`, func(v float64) bool { return v > 0 }},
		{`sum(chanio_dropped_messages_total) + sum(chanio_undelivered_bytes_total)`, func(v float64) bool { return v == 0 }},
	} {
		require.Contains(t, string(readme), q.query)
		prometheus.await(q.query, q.right)
	}
	prometheus.await(`chanio_accepted_sessions_total{source="clients",job="service"}`, func(v float64) bool { return v >= 8 })
	clients.leave(t)
	s.signal(syscall.SIGTERM)
	s.exits()
	prometheus.signal(syscall.SIGTERM)
	prometheus.exits()
}

// A prometheusServer is a real Prometheus server.
type prometheusServer struct {
	*program
	address string
}

// startPrometheus starts a Prometheus that scrapes an address.
func startPrometheus(t *testing.T, binary, scrapes string) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 100ms, scrape_timeout: 100ms}
scrape_configs: [{job_name: service, static_configs: [{targets: ["%s"]}]}]
`, scrapes), 0o600))
	for range 5 {
		address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
		p := start(t, binary, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, address), "--web.listen-address="+address)
		if m := p.hears(`(Server is ready to receive web requests|Unable to start web listener)`); strings.HasPrefix(m[1], "Server") {
			return &prometheusServer{p, address}
		}
		_ = p.cmd.Wait()
	}
	require.FailNow(t, "no port is free")
	return nil
}

// freePort returns a port below the ephemeral range, so the system gives it to
// no program that lets it choose.
func freePort(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	require.NoError(t, err)
	var first int
	_, err = fmt.Sscan(string(text), &first)
	require.NoError(t, err)
	const lowest = 1024
	require.Greater(t, first, lowest)
	return lowest + rand.IntN(first-lowest)
}

// await asks a query until the answer is right.
func (p *prometheusServer) await(query string, right func(float64) bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		value, text := p.ask(query)
		if right(value) {
			p.t.Log(query, "=", value)
			return
		}
		require.Less(p.t, time.Now(), deadline, "%s: %s", query, text)
		<-time.After(50 * time.Millisecond)
	}
}

// ask returns the answer to a query that has one value, or -1 if there is none
// yet.
func (p *prometheusServer) ask(query string) (value float64, text string) {
	p.t.Helper()
	answer, err := http.Get("http://" + p.address + "/api/v1/query?query=" + url.QueryEscape(query))
	require.NoError(p.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, answer.StatusCode, "%s", body)
	var result struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	require.NoError(p.t, json.Unmarshal(body, &result))
	if len(result.Data.Result) != 1 {
		return -1, string(body)
	}
	value, err = strconv.ParseFloat(result.Data.Result[0].Value[1].(string), 64)
	require.NoError(p.t, err)
	return value, string(body)
}
