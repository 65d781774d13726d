package load

import (
	"context"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/chanio/benchmarks/internal/bench"
	"example.com/chanio/benchmarks/internal/report"
)

// A window is the time that a run measures. What happens before or after it does
// not count.
type window struct {
	config    bench.Config
	open      atomic.Bool
	over      atomic.Bool // tells the clients to end
	latencies *report.Latencies

	wg   sync.WaitGroup // clients
	done chan struct{}  // closed when the run is over

	mu      sync.Mutex
	tallies []*tally
	errors  int64
	first   error
}

// A tally counts what one client received while the window was open. Only its
// client adds to it, a message's bytes before the message.
type tally struct {
	bytes    atomic.Int64
	messages atomic.Int64
	lost     atomic.Int64

	_ [40]byte // keeps two clients' counters out of one cache line
}

func newWindow(c bench.Config) *window {
	// Twice as many shards as can record at the same time.
	return &window{config: c, done: make(chan struct{}), latencies: report.NewLatencies(2 * runtime.GOMAXPROCS(0))}
}

// tally returns a new client's counters.
func (w *window) tally() *tally {
	t := new(tally)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tallies = append(w.tallies, t)
	return t
}

// start runs a client in a goroutine.
func (w *window) start(client func() error) { w.wg.Go(func() { w.fail(client()) }) }

// receive runs a client that receives with each what arrives on l. It stops
// itself at the end of the run: under a flood, closing a thousand clients from
// outside takes long.
func (w *window) receive(l link, each func(b []byte)) {
	w.start(func() error {
		defer l.close()
		return l.receive(func(b []byte, _ bool) bool {
			each(b)
			return !w.over.Load()
		})
	})
}

// fail counts the error, if any, that ended a client before the end of the run.
func (w *window) fail(err error) {
	if err == nil || w.over.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors++
	if w.first == nil {
		w.first = err
	}
}

// measure waits for the warm-up, opens the window for its length, ends the run
// by closing links, and reports what was counted. It ends early with ctx.
func (w *window) measure(ctx context.Context, links []link) *report.Report {
	wait(ctx, w.config.Warmup)
	server, load := meter(w.config.ServerPID), meter(os.Getpid())
	began := time.Now()
	w.open.Store(true)
	wait(ctx, w.config.Length)
	w.open.Store(false)
	w.over.Store(true)
	close(w.done)
	r := &report.Report{Time: time.Since(began), Server: server(), Load: load()}
	w.count(r)
	closeAll(links)
	w.wg.Wait()
	return r
}

// count enters what the clients have counted.
func (w *window) count(r *report.Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tallies {
		r.Messages += t.messages.Load() // before the bytes: a message being counted right now may be in either
		r.Bytes += t.bytes.Load()
		r.Lost += t.lost.Load()
	}
	r.Errors = w.errors
	if w.first != nil {
		r.FirstError = w.first.Error()
	}
	r.Latency = w.latencies.Percentiles()
}

// meter starts measuring a process. The returned function returns what the
// process has used since, or nil if that is unknown.
func meter(pid int) func() *report.Used {
	before, err := report.Usage(pid)
	return func() *report.Used {
		if pid == 0 || err != nil {
			return nil
		}
		after, err := report.Usage(pid)
		if err != nil {
			return nil
		}
		after.CPU -= before.CPU
		return &after
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
