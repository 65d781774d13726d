package compare

// A Metric names a figure by its unit, in the words of Go's benchmark format.
type Metric string

// All metrics. Not every scenario has all of them.
const (
	Messages Metric = "messages/s"
	Data     Metric = "B/s"
	Lost     Metric = "lost-%"

	P50   Metric = "p50-us"
	P75   Metric = "p75-us"
	P90   Metric = "p90-us"
	P95   Metric = "p95-us"
	P99   Metric = "p99-us"
	P995  Metric = "p99.5-us"
	P999  Metric = "p99.9-us"
	P9999 Metric = "p99.99-us"

	PerCore Metric = "messages/server-CPU-s" // throughput per core
	Cost    Metric = "server-CPU-us/message"
	Peak    Metric = "server-peak-B"

	Connected          Metric = "connected-B/session"
	ConnectedCollected Metric = "connected-and-collected-B/session"
	Echoed             Metric = "echoed-B/session" // after an echo
	EchoedCollected    Metric = "echoed-and-collected-B/session"

	Connections Metric = "connections/s"
)

// Figures are what one trial has measured.
type Figures map[Metric]float64
