// Package compare runs the whole matrix of benchmarks, interleaved and repeated,
// and judges the outcome by the project's own bars.
package compare

import (
	_ "embed" // of the scenarios and the bars
	"fmt"
	"iter"
	"strings"

	"example.com/chanio/benchmarks/internal/bench"
)

// The entrants that are more than the name of a server's implementation.
const (
	Ours       = "chanio"
	Batches    = "chanio-batches"    // RecvBatch and PutBatch
	BothOurs   = "chanio-both-ends"  // the client is chanio's too
	packetConn = "chanio-packetconn" // a packet endpoint, without sessions
)

// A Scenario is one job for several entrants.
type Scenario struct {
	Name     string       // which also says what the job is: see scenarios.txt
	Config   bench.Config // without what the entrants differ in
	Base     string       // the entrant that the others are compared with
	Entrants []string
}

//go:embed scenarios.txt
var scenarios string

// Catalogue returns all scenarios.
func Catalogue() []Scenario {
	var all []Scenario
	for words := range rows(scenarios) {
		all = append(all, Scenario{words[0], configOf(words[0]), words[1], words[2:]})
	}
	return all
}

// rows yields the words of each line of text that is not a comment.
func rows(text string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(text) {
			words := strings.Fields(line)
			if len(words) > 0 && words[0] != "#" && !yield(words) {
				return
			}
		}
	}
}

const (
	messageSize  = 32 // bytes, unless a scenario's name says another size
	churnClients = 16 // that connect at a time

	// datagramBuffer is the kernel buffer in bytes that each UDP socket requests.
	// The default holds fewer small datagrams than are in flight.
	datagramBuffer = 4 << 20

	fanoutRate = 20 // messages per second: the members are idle in between
)

// configOf returns what the name of a scenario says.
func configOf(name string) bench.Config {
	words := strings.Split(name, "-")
	c := bench.Config{Net: words[0], Job: words[1], Client: "plain", Size: messageSize}
	switch c.Job {
	case "framed":
		c.Job, c.Framing = "echo", bench.Prefix
	case "lines":
		c.Job, c.Framing = "echo", bench.Lines
	case "publish":
		c.Job, c.Publish = "multicast", true
	case "churn":
		c.Clients = churnClients
	case "fanout":
		c.Messages = fanoutRate
	}
	if c.Net == bench.UDP {
		c.KernelBuffer = datagramBuffer
	}
	for _, w := range words[2:] {
		var n, inFlight int
		numbers, _ := fmt.Sscanf(w, "%dx%d", &n, &inFlight)
		unit := strings.TrimLeft(w, "0123456789")
		switch {
		case numbers == 2:
			c.Clients, c.Messages = n, inFlight
		case numbers == 1 && unit == "":
			c.Clients = n
		case numbers == 1:
			c.Size = n << map[string]int{"KiB": 10, "MiB": 20}[unit]
		case w == bench.Lines:
			c.Framing = w
		}
		c.Deflate = c.Deflate || w == "deflate"
		c.Pinned = c.Pinned || w == "pinned"
		c.Resume = c.Resume || w == "resumed"
	}
	return c
}
