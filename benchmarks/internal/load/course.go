package load

import (
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

// A course tracks a client's numbered datagrams in flight. They come back in
// order, so one that was overtaken is lost.
type course struct {
	window  *window
	tally   *tally
	latency *report.Shard

	next   uint64      // number of the next datagram to send
	oldest uint64      // number of the oldest in flight
	sent   []time.Time // send times, indexed by number modulo the length
}

func newCourse(w *window, i int) *course {
	return &course{window: w, tally: w.tally(), latency: w.latencies.Shard(i), sent: make([]time.Time, w.config.Messages)}
}

// send records that the next datagram is sent now and returns its number. No
// more than config.Messages may be in flight.
func (c *course) send(now time.Time) uint64 {
	n := c.next
	c.sent[n%uint64(len(c.sent))] = now
	c.next++
	return n
}

// receive records that datagram n came back. It returns how many are no longer
// in flight: n and those that it overtook.
func (c *course) receive(n uint64, now time.Time) int {
	if n >= c.next {
		return 0 // never sent
	}
	open := c.window.open.Load()
	if n < c.oldest {
		if open { // late: it was counted as lost
			c.tally.lost.Add(-1)
		}
		return 0
	}
	if open {
		c.tally.lost.Add(int64(n - c.oldest))
		c.tally.bytes.Add(int64(c.window.config.Size))
		c.tally.messages.Add(1)
		c.latency.Record(now.Sub(c.sent[n%uint64(len(c.sent))]), 1)
	}
	gone := int(n + 1 - c.oldest)
	c.oldest = n + 1
	return gone
}

// abandon counts everything in flight as lost and returns how many datagrams
// that was.
func (c *course) abandon() int {
	gone := int(c.next - c.oldest)
	c.oldest = c.next
	if c.window.open.Load() {
		c.tally.lost.Add(int64(gone))
	}
	return gone
}
