// Package compare runs the whole matrix of benchmarks, interleaved and repeated,
// and judges the outcome by the project's own bars.
package compare

import (
	_ "embed" // of the scenarios and the bars
	"fmt"
	"iter"
	"regexp"
	"slices"
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

// A Set is a group of scenarios that are run together.
type Set struct {
	Name string
	Does string
	has  func(name string) bool
}

// Sets returns all sets.
func Sets() []Set {
	all := []Set{
		{"all", "every scenario", func(string) bool { return true }},
		{"readme", "what the README shows, and what the bars need", nil},
		// Echo with 1,000 messages in flight and multicast, over tcp, ssl and udp,
		// with 1 and 100 clients.
		{"cppserver", "the twelve scenarios of CppServer", matches(`^(tcp|tls|udp)-(echo-(1|100)x1000|multicast-(1|100))$`)},
		{"bars", "what the bars need", inBars},
		{"clients", "TCP echo, 1 to 10,000 clients", matches(`^tcp-echo-10*x1$`)},
		{"sizes", "TCP echo, messages of 1 byte to 1 MiB", matches(`^tcp-echo-10x1-\d+(|Ki|Mi)B$`)},
		{"websocket", "everything compared with other WebSocket libraries", matches("^ws-")},
	}
	shown := all[2:6]
	all[1].has = func(name string) bool {
		return slices.ContainsFunc(shown, func(s Set) bool { return s.has(name) })
	}
	return all
}

func matches(expr string) func(name string) bool { return regexp.MustCompile(expr).MatchString }

func inBars(name string) bool {
	return slices.ContainsFunc(Bars(), func(b Bar) bool {
		return b.Figure.Scenario == name || slices.ContainsFunc(b.To, func(f Figure) bool { return f.Scenario == name })
	})
}

// Select returns the scenarios of a set whose names match a regular expression.
func Select(set, match string) ([]Scenario, error) {
	re, err := regexp.Compile(match)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var known []string
	for _, s := range Sets() {
		if s.Name != set {
			known = append(known, s.Name)
			continue
		}
		all := slices.DeleteFunc(Catalogue(), func(c Scenario) bool { return !s.has(c.Name) || !re.MatchString(c.Name) })
		if len(all) == 0 {
			return nil, fmt.Errorf("no scenario of set %q matches %q; -list lists them", set, match)
		}
		return all, nil
	}
	return nil, fmt.Errorf("-set: %q is none of %s", set, strings.Join(known, ", "))
}
