package compare

import (
	"slices"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// The names of entrants: who does a job, and how. A name that does not begin
// with "chanio" is also that of the server's implementation.
const (
	Ours        = "chanio"
	BothOurs    = "chanio-both-ends" // the client is chanio's too
	Batches     = "chanio-batches"   // RecvBatch and PutBatch
	BothBatches = "chanio-batches-both-ends"
	Std         = "std" // the base of ratios, unless stated otherwise
	Netpoll     = "netpoll"
	Coalesced   = "coalesced" // a channel per member, whose content goes out in one write
	Loop        = "loop"      // multicast by a plain loop over the connections
	Limit       = "limit"     // the most that the machine can do

	PacketConn        = "chanio-packetconn" // a packet endpoint, without sessions
	PacketConnBatches = "chanio-packetconn-batches"

	// Libraries for WebSockets: prepared messages and a channel per member,
	// a channel per member, and its own Broadcaster.
	Gorilla = "gorilla"
	Coder   = "coder"
	GWS     = "gws"
)

// Catalogue returns all scenarios.
func Catalogue() []Scenario {
	return slices.Concat(streams(endpoint.TCP), streams(endpoint.TLS), framings(), churns(), datagrams(), sizeGrowth(), webSockets(), redis())
}

const (
	idleCount     = 10_000 // sessions
	idleRepeats   = 2      // enough, since memory does not depend on what else runs
	fanoutMembers = 1000
)

// streams returns the scenarios over a stream transport.
func streams(network string) []Scenario {
	raw := []string{Ours, Batches, Std}
	if network == endpoint.TCP {
		raw = append(raw, Netpoll)
	}
	hubs := []string{Ours, Std, Coalesced, Limit}
	var all []Scenario
	for _, clients := range clientCounts {
		all = append(all, Scenario{Job: "echo", Net: network, Clients: clients, InFlight: 1, Entrants: raw})
	}
	return append(all,
		Scenario{Job: "echo", Net: network, Clients: 1, InFlight: 1000, Entrants: raw},
		Scenario{Job: "echo", Net: network, Clients: 100, InFlight: 1000, Entrants: raw},
		Scenario{Job: "echo", Net: network, Clients: 1, InFlight: 1, Pinned: true, Entrants: raw},
		Scenario{Job: "multicast", Net: network, Clients: 1, Entrants: hubs},
		Scenario{Job: "multicast", Net: network, Clients: 100, Entrants: hubs},
		Scenario{Job: "multicast", Net: network, Clients: 5000, Entrants: []string{Ours, Limit}},
		Scenario{Job: "multicast", Net: network, Clients: 100, Publish: true, Entrants: []string{Ours, Std, Coalesced}},
		Scenario{Job: "idle", Net: network, Clients: idleCount, Entrants: []string{Ours, Std}, Most: idleRepeats},
		Scenario{Job: "fanout", Net: network, Clients: fanoutMembers, Entrants: []string{Ours, Loop, Std}, Base: Loop},
	)
}

// framings returns the scenarios of messages that the library takes apart.
func framings() []Scenario {
	entrants := []string{Ours, Batches, Std, BothOurs, BothBatches}
	var all []Scenario
	for _, framing := range []string{endpoint.Prefix, endpoint.Lines} {
		for _, clients := range []int{1, 100} {
			all = append(all, Scenario{Job: "echo", Net: endpoint.TCP, Clients: clients, InFlight: 1000, Framing: framing, Entrants: entrants})
		}
	}
	for _, n := range []int{64 << 10, 512 << 10} {
		all = append(all, Scenario{Job: "echo", Net: endpoint.TCP, Clients: 1, InFlight: 1, Size: n, Framing: endpoint.Prefix, Entrants: []string{Ours, Batches, Std}})
	}
	return append(all, Scenario{Job: "idle", Net: endpoint.TCP, Clients: idleCount, Framing: endpoint.Lines, Entrants: []string{Ours, Std}, Most: idleRepeats})
}

// churnClients is how many clients connect at a time.
const churnClients = 16

func churns() []Scenario {
	s := Scenario{Job: "churn", Net: endpoint.TCP, Clients: churnClients, Entrants: []string{Ours, Std}}
	tls, resumed := s, s
	tls.Net, resumed.Net, resumed.Resume = endpoint.TLS, endpoint.TLS, true
	return []Scenario{s, tls, resumed}
}

// datagrams returns the round-trip and group scenarios over UDP.
func datagrams() []Scenario {
	echo := []string{Ours, Batches, PacketConn, PacketConnBatches, Std, BothOurs, BothBatches}
	group := []string{Ours, Std, BothOurs}
	var all []Scenario
	for _, clients := range []int{1, 100} {
		all = append(all,
			Scenario{Job: "echo", Net: endpoint.UDP, Clients: clients, InFlight: 1, Entrants: echo},
			Scenario{Job: "echo", Net: endpoint.UDP, Clients: clients, InFlight: 1000, Entrants: echo},
			Scenario{Job: "multicast", Net: endpoint.UDP, Clients: clients, Entrants: group})
	}
	return all
}

// webSockets returns the scenarios beside other WebSocket libraries.
func webSockets() []Scenario {
	all := []string{Ours, Gorilla, Coder, GWS}
	echoes := append([]string{Batches}, all...)
	const ws, kilo = endpoint.WS, 1 << 10
	var scenarios []Scenario
	for _, clients := range []int{1, 100, 5000} {
		for _, size := range []int{0, kilo} {
			for _, deflate := range []bool{false, true} {
				scenarios = append(scenarios,
					Scenario{Job: "echo", Net: ws, Clients: clients, InFlight: 1, Size: size, Deflate: deflate, Entrants: echoes},
					Scenario{Job: "multicast", Net: ws, Clients: clients, Size: size, Deflate: deflate, Entrants: all})
			}
		}
	}
	return append(scenarios,
		Scenario{Job: "echo", Net: ws, Clients: 100, InFlight: 1000, Entrants: echoes},
		Scenario{Job: "idle", Net: ws, Clients: 5000, Entrants: all, Most: idleRepeats},
		Scenario{Job: "fanout", Net: ws, Clients: fanoutMembers, Entrants: all})
}

// redis returns the scenarios of redis-benchmark's GETs.
func redis() []Scenario {
	var all []Scenario
	for _, pipeline := range []int{1, 16, 128} {
		all = append(all, Scenario{Job: "redis", Net: endpoint.TCP, Clients: 50, InFlight: pipeline, Entrants: []string{Ours, Std}})
	}
	return all
}

// A Step is one scenario of a series in which one thing grows.
type Step struct {
	X        float64 // clients, or bytes of a message
	Scenario string
}

// The two series over TCP, with 1 message in flight each.
var (
	clientCounts = []int{1, 10, 100, 1000, 10_000}
	sizes        = []int{1, 16, 256, 4 << 10, 64 << 10, 1 << 20}
)

// ClientSteps returns the echo scenarios with growing numbers of clients.
func ClientSteps() []Step {
	var steps []Step
	for _, n := range clientCounts {
		steps = append(steps, Step{float64(n), Scenario{Job: "echo", Net: endpoint.TCP, Clients: n, InFlight: 1}.Name()})
	}
	return steps
}

// SizeSteps returns the echo scenarios with growing message sizes.
func SizeSteps() []Step {
	var steps []Step
	for _, s := range sizeGrowth() {
		steps = append(steps, Step{float64(s.Size), s.Name()})
	}
	return steps
}

func sizeGrowth() []Scenario {
	var all []Scenario
	for _, n := range sizes {
		all = append(all, Scenario{Job: "echo", Net: endpoint.TCP, Clients: 10, InFlight: 1, Size: n, Entrants: []string{Ours, Std, Netpoll}})
	}
	return all
}
