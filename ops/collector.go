// Package ops helps to operate programs that use chanio, with what requires
// further libraries: metrics for Prometheus.
package ops

import (
	"maps"
	"strings"
	"sync"

	"example.com/chanio"
	"github.com/prometheus/client_golang/prometheus"
)

// A StatsSource has counters: a Listener, Client, Hub, PacketConn or Session of
// chanio.
type StatsSource interface{ Stats() chanio.Stats }

// NewCollector returns a collector of the counters of sources. Each source's
// key is the value of the label "source", with U+FFFD for what is not UTF-8. The
// collector asks for the counters when it is scraped. It copies the map. A source
// may still be collected after it has ended; its counters remain.
//
// Counters never decrease, not even over a Restart. A source itself takes back
// messages that it has counted as received where they are not received in the end,
// as when a session is closed. The collector then keeps to what it has told until
// the source has counted that many again. The gauges are chanio_sessions and
// chanio_pending_bytes. The collector is safe for concurrent use.
func NewCollector(sources map[string]StatsSource) prometheus.Collector {
	c := &collector{sources: maps.Clone(sources), metrics: newMetrics(), told: make(map[string][]int64)}
	for name := range c.sources {
		c.told[name] = make([]int64, len(c.metrics))
	}
	return c
}

type collector struct {
	sources map[string]StatsSource
	metrics []metric

	mu   sync.Mutex
	told map[string][]int64 // the highest value of each of a source's metrics
}

// A metric is one field of Stats.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(chanio.Stats) int64
}

func newMetrics() []metric {
	counter := func(name, help string, of func(chanio.Stats) int64) metric {
		return metric{describe(name, help), prometheus.CounterValue, of}
	}
	gauge := func(name, help string, of func(chanio.Stats) int64) metric {
		return metric{describe(name, help), prometheus.GaugeValue, of}
	}
	return []metric{
		gauge("sessions", "Sessions that live, or members of a hub.", func(s chanio.Stats) int64 { return s.Sessions }),
		counter("accepted_sessions_total", "Sessions there have ever been.", func(s chanio.Stats) int64 { return s.Accepted }),
		counter("received_bytes_total", "Bytes received, framing included and TLS records not.", func(s chanio.Stats) int64 { return s.BytesReceived }),
		counter("sent_bytes_total", "Bytes that the kernel has taken, framing included and TLS records not.", func(s chanio.Stats) int64 { return s.BytesSent }),
		gauge("pending_bytes", "Bytes accepted that the kernel has not taken yet.", func(s chanio.Stats) int64 { return s.BytesPending }),
		counter("received_messages_total", "Messages received.", func(s chanio.Stats) int64 { return s.MessagesReceived }),
		counter("sent_messages_total", "Messages sent.", func(s chanio.Stats) int64 { return s.MessagesSent }),
		counter("dropped_messages_total", "Messages lost by the library: a full queue or peer table, skipped by a hub's member.", func(s chanio.Stats) int64 { return s.MessagesDropped }),
		counter("kernel_dropped_datagrams_total", "Datagrams that the kernel dropped, where it tells.", func(s chanio.Stats) int64 { return s.KernelDropped }),
		counter("refused_datagrams_total", "Datagrams that came back as an ICMP refusal.", func(s chanio.Stats) int64 { return s.Refused }),
		counter("undelivered_bytes_total", "Bytes accepted and never sent, because the session ended first.", func(s chanio.Stats) int64 { return s.Undelivered }),
		counter("dropped_events_total", "Events that were not read in time.", func(s chanio.Stats) int64 { return s.EventsDropped }),
	}
}

func describe(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("chanio_"+name, help, []string{"source"}, nil)
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		descs <- m.desc
	}
}

func (c *collector) Collect(values chan<- prometheus.Metric) {
	for name, source := range c.sources {
		label := strings.ToValidUTF8(name, "\uFFFD") // else Prometheus panics
		for i, value := range c.values(name, source) {
			m := &c.metrics[i]
			values <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(value), label)
		}
	}
}

// values returns the values of a source's metrics.
func (c *collector) values(name string, source StatsSource) []int64 {
	c.mu.Lock() // from before Stats, or a late one would be lower than what was told
	defer c.mu.Unlock()
	st, told := source.Stats(), c.told[name]
	values := make([]int64, len(told))
	for i, m := range c.metrics {
		values[i] = m.of(st)
		if m.kind == prometheus.CounterValue {
			told[i] = max(told[i], values[i])
			values[i] = told[i]
		}
	}
	return values
}
