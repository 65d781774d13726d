// Package compare runs the whole matrix of benchmarks, interleaved and repeated,
// and judges the outcome by the project's own bars.
package compare

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// A Scenario is one job for several entrants.
type Scenario struct {
	Job      string // echo, multicast, idle, churn, fanout or redis
	Net      string
	Clients  int
	InFlight int    // messages of each client (echo)
	Size     int    // bytes of a message; if zero, messageSize, which the name omits
	Framing  string // of streams, see package endpoint
	Deflate  bool   // compress WebSocket messages
	Pinned   bool   // server and load share one CPU
	Resume   bool   // TLS sessions (churn)

	// Publish makes the latencies those of publishing a message. It lets our
	// members skip messages when they lag, so that publishing never blocks.
	Publish bool

	Entrants []string
	Base     string // the entrant that the others are compared with; if empty, Std, or Gorilla for WebSockets

	// Most bounds the repetitions, for figures that hardly vary and take long to
	// measure. If zero, as many as the run has.
	Most int
}

// messageSize is the size of a message in bytes unless a scenario sets another.
const messageSize = 32

// job returns the word for the job in names.
func (s Scenario) job() string {
	switch {
	case s.Publish:
		return "publish"
	case s.Job == "echo" && s.Framing == "prefix":
		return "framed"
	case s.Job == "echo" && s.Framing != "":
		return s.Framing
	}
	return s.Job
}

// Name returns transport, job, and clients x messages in flight, with what is
// unusual after it.
func (s Scenario) Name() string {
	name := s.Net + "-" + s.job()
	if s.Job != "churn" {
		name += "-" + strconv.Itoa(s.Clients)
	}
	if s.InFlight > 0 {
		name += "x" + strconv.Itoa(s.InFlight)
	}
	if s.Size > 0 {
		name += "-" + strings.ReplaceAll(size(s.Size), " ", "")
	}
	if s.Job == "idle" && s.Framing != "" {
		name += "-" + s.Framing
	}
	if s.Deflate {
		name += "-deflate"
	}
	if s.Pinned {
		name += "-pinned"
	}
	if s.Resume {
		name += "-resumed"
	}
	return name
}

// Title returns a description for people.
func (s Scenario) Title() string {
	network := strings.ToUpper(s.Net)
	if s.Net == endpoint.WS {
		network = "WebSocket"
	}
	switch s.Job {
	case "idle":
		return grouped(s.Clients) + " idle " + network + " sessions" + s.framing()
	case "churn":
		if s.Resume {
			return network + " connections that come and go, resumed"
		}
		return network + " connections that come and go"
	case "fanout":
		return fmt.Sprintf("%s, one message until the last of %s idle members has it", network, grouped(s.Clients))
	case "multicast":
		return network + " multicast to " + s.audience() + s.unusual()
	case "redis":
		return fmt.Sprintf("Redis' GET, %s, pipelines of %d", counted(s.Clients, "client"), s.InFlight)
	}
	return fmt.Sprintf("%s echo%s, %s, %s in flight%s", network, s.framing(), counted(s.Clients, "client"), grouped(s.InFlight), s.unusual())
}

func (s Scenario) framing() string {
	return map[string]string{"": "", "prefix": " of framed messages", "lines": " of lines"}[s.Framing]
}

func (s Scenario) audience() string {
	if s.Net == endpoint.UDP {
		return "a group of " + grouped(s.Clients)
	}
	return counted(s.Clients, "client")
}

func (s Scenario) unusual() string {
	t := ""
	if s.Size > 0 {
		t += " of " + size(s.Size)
	}
	if s.Deflate {
		t += ", compressed"
	}
	if s.Pinned {
		t += ", all on one CPU"
	}
	if s.Publish {
		t += ", what publishing takes"
	}
	return t
}

// base returns the entrant that the others are compared with.
func (s Scenario) base() string {
	switch {
	case s.Base != "":
		return s.Base
	case s.Net == endpoint.WS:
		return Gorilla
	}
	return Std
}

// Settings are common to all trials of a run.
type Settings struct {
	Warmup time.Duration
	Length time.Duration // of one measurement
}
