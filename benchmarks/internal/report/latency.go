package report

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Percentiles are the percentiles of a run's latencies by name, "p99.9", and the
// longest, "max".
type Percentiles map[string]time.Duration

// String returns the customary percentiles.
func (p Percentiles) String() string {
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, p99.9 %s, max %s",
		Duration(p["p50"]), Duration(p["p90"]), Duration(p["p99"]), Duration(p["p99.9"]), Duration(p["max"]))
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
func (l *Latencies) Percentiles() Percentiles {
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
	p := Percentiles{"max": time.Duration(all.Max())}
	for _, q := range []float64{50, 75, 90, 95, 99, 99.5, 99.9, 99.99} {
		p[fmt.Sprintf("p%g", q)] = time.Duration(all.ValueAtQuantile(q))
	}
	return p
}
