package ops

import (
	"bytes"
	"io"
	"net"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"example.com/chanio"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scrape returns what Prometheus would get.
func scrape(t *testing.T, sources map[string]StatsSource) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(NewCollector(sources)))
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).
		ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code, w.Body.String())
	return w.Body.String()
}

// echoOnce connects to l, says hello to an echo server, and leaves.
func echoOnce(t *testing.T, l *chanio.Listener) {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	s := <-l.Sessions()
	_, err = conn.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, s.Put(<-s.Recv()))
	_, err = io.ReadFull(conn, make([]byte, 5))
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestASourceMayHaveAnyName(t *testing.T) {
	h := chanio.NewHub(t.Context(), nil)
	defer h.Close()
	got := scrape(t, map[string]StatsSource{"": h, "a\xff\"\n": h})
	require.Contains(t, got, `chanio_sessions{source=""} 0`+"\n")
	require.Contains(t, got, `chanio_sessions{source="a`+"\uFFFD"+`\"\n"} 0`+"\n")
}

func TestCountersAreThoseOfTheSourcesAndSurviveARestart(t *testing.T) {
	l, err := chanio.Listen(t.Context(), "tcp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.Close()
	sources := map[string]StatsSource{"echo": l, "echo hub": l.Hub()}
	for _, total := range []string{"1", "2"} {
		echoOnce(t, l)
		got := scrape(t, sources)
		require.Contains(t, got, `chanio_accepted_sessions_total{source="echo"} `+total+"\n")
		require.NoError(t, l.Restart(t.Context()))
	}
	got := scrape(t, sources)
	for _, line := range []string{
		`chanio_received_bytes_total{source="echo"} 10`,
		`chanio_sent_bytes_total{source="echo"} 10`,
		`chanio_sessions{source="echo"} 0`,
		`chanio_sessions{source="echo hub"} 0`,
	} {
		require.Contains(t, got, line+"\n")
	}
}

// Prometheus takes a counter that goes back for the counter of a new process,
// and counts again what it has counted before.
func TestCountersNeverGoBackWhileAListenerRestarts(t *testing.T) {
	l, err := chanio.Listen(t.Context(), "tcp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.Close()
	go func() { // ends with the listener
		for s := range l.Sessions() {
			go func() {
				defer s.Close()
				for m := range s.Recv() {
					if s.Put(m) != nil {
						return
					}
				}
			}()
		}
	}()
	stop := make(chan struct{})
	var clients, watch sync.WaitGroup
	for range 4 {
		clients.Go(func() { talkUntil(stop, l.Addr().String()) })
	}
	watch.Go(func() {
		c := NewCollector(map[string]StatsSource{"echo": l}).(*collector)
		last := make([]int64, len(c.metrics))
		for {
			st := l.Stats()
			for i, m := range c.metrics {
				now := m.of(st)
				if m.kind == prometheus.CounterValue && now < last[i] {
					t.Errorf("%v went back from %d to %d", m.desc, last[i], now)
				}
				last[i] = now
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 50 {
		for received := l.Stats().MessagesReceived; l.Stats().MessagesReceived < received+10; {
			runtime.Gosched()
		}
		require.NoError(t, l.Restart(t.Context()))
	}
	close(stop)
	clients.Wait()
	watch.Wait()
}

// A session counts a message as received before it is, and no longer once it is
// closed without.
func TestCountersNeverGoBackWhereAMessageIsNotReceivedInTheEnd(t *testing.T) {
	l, err := chanio.Listen(t.Context(), "tcp", "127.0.0.1:0", &chanio.Options{RecvQueue: -1})
	require.NoError(t, err)
	defer l.Close()
	c := NewCollector(map[string]StatsSource{"echo": l})
	reg := prometheus.NewPedanticRegistry()
	require.NoError(t, reg.Register(c))
	received := func() (n float64) {
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "chanio_received_messages_total" {
				n = f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return n
	}
	for range 2 {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		s := <-l.Sessions()
		s.Recv() // and never receives
		_, err = conn.Write([]byte("hello"))
		require.NoError(t, err)
		for l.Stats().MessagesReceived == 0 {
			runtime.Gosched()
		}
		require.EqualValues(t, 1, received())
		s.Abort(nil)
		<-s.Done()
		conn.Close()
		require.Zero(t, l.Stats().MessagesReceived)
		require.EqualValues(t, 1, received(), "Prometheus would take 0 for a new process")
	}
}

// talkUntil talks to an echo server that may cut it off at any time, and comes
// back.
func talkUntil(stop <-chan struct{}, address string) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			continue // it is being restarted
		}
		for answer := make([]byte, 5); err == nil; _, err = io.ReadFull(conn, answer) {
			if _, err = conn.Write([]byte("hello")); err != nil {
				break
			}
			select {
			case <-stop:
				conn.Close()
			default:
			}
		}
		conn.Close()
	}
}

func TestPromtoolHasNoComplaint(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is missing: it is in Debian's package prometheus")
	}
	l, err := chanio.Listen(t.Context(), "tcp", "127.0.0.1:0", nil)
	require.NoError(t, err)
	defer l.Close()
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, map[string]StatsSource{"echo": l}))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Run(), said.String())
	require.Empty(t, said.String())
}
