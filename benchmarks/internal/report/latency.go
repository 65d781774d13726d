package report

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Percentiles are the percentiles of a run's latencies.
type Percentiles struct {
	P50   time.Duration `json:"p50_ns"`
	P75   time.Duration `json:"p75_ns"`
	P90   time.Duration `json:"p90_ns"`
	P95   time.Duration `json:"p95_ns"`
	P99   time.Duration `json:"p99_ns"`
	P995  time.Duration `json:"p995_ns"`
	P999  time.Duration `json:"p999_ns"`
	P9999 time.Duration `json:"p9999_ns"`
	Max   time.Duration `json:"max_ns"`
}

// String returns the customary percentiles.
func (p *Percentiles) String() string {
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
		Duration(p.P50), Duration(p.P90), Duration(p.P99), Duration(p.P999), Duration(p.Max))
}

const (
	lowest  = 100 * time.Nanosecond // finer differences are noise
	highest = time.Minute
	digits  = 3
)

// Latencies records durations from many goroutines at once, spread over a few
// histograms to reduce contention.
type Latencies struct {
	shards []Shard
}

// A Shard is one histogram of a [Latencies].
type Shard struct {
	mu        sync.Mutex
	histogram *hdrhistogram.Histogram
}

// NewLatencies returns a Latencies of n shards.
func NewLatencies(n int) *Latencies {
	l := &Latencies{shards: make([]Shard, n)}
	for i := range l.shards {
		l.shards[i].histogram = hdrhistogram.New(int64(lowest), int64(highest), digits)
	}
	return l
}

// Shard returns the histogram for the i-th recorder.
func (l *Latencies) Shard(i int) *Shard { return &l.shards[i%len(l.shards)] }

// Record counts n messages that took d each. More than a minute counts as a
// minute.
func (s *Shard) Record(d time.Duration, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The value is within the histogram's bounds, the only error there is.
	_ = s.histogram.RecordValues(int64(min(max(d, lowest), highest)), int64(n))
}

// Percentiles returns the percentiles of everything recorded, or nil if nothing
// was.
func (l *Latencies) Percentiles() *Percentiles {
	all := hdrhistogram.New(int64(lowest), int64(highest), digits)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		all.Merge(s.histogram)
		s.mu.Unlock()
	}
	if all.TotalCount() == 0 {
		return nil
	}
	at := func(q float64) time.Duration { return time.Duration(all.ValueAtQuantile(q)) }
	return &Percentiles{
		P50: at(50), P75: at(75), P90: at(90), P95: at(95),
		P99: at(99), P995: at(99.5), P999: at(99.9), P9999: at(99.99),
		Max: time.Duration(all.Max()),
	}
}
