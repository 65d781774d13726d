package load

import (
	"time"

	"example.com/chanio/benchmarks/internal/report"
)

// A course is the numbered datagrams of a client that are under way. They come
// back in order, so that one that was overtaken is lost.
type course struct {
	window  *window
	tally   *tally
	latency *report.Shard

	next   uint64      // number of the datagram that is sent next
	oldest uint64      // number of the oldest that is under way
	sent   []time.Time // when each was sent, by its number modulo the length
}

func newCourse(w *window, i int) *course {
	return &course{window: w, tally: w.tally(), latency: w.latencies.Shard(i), sent: make([]time.Time, w.config.Messages)}
}

// send returns the number of the next datagram, which is sent now. No more than
// config.Messages may be under way.
func (c *course) send(now time.Time) uint64 {
	n := c.next
	c.sent[n%uint64(len(c.sent))] = now
	c.next++
	return n
}

// receive takes in datagram n and returns how many are no longer under way: it
// and those that it has overtaken.
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

// abandon counts all that is under way as lost and returns how many that were.
func (c *course) abandon() int {
	gone := int(c.next - c.oldest)
	c.oldest = c.next
	if c.window.open.Load() {
		c.tally.lost.Add(int64(gone))
	}
	return gone
}
