package compare

import "example.com/chanio/benchmarks/internal/endpoint"

// The names of entrants: who does a job, and how. Each but bothOurs is also the
// name of the server's implementation.
const (
	ours      = "chanio"
	bothOurs  = "chanio, both ends" // the client is chanio's too
	base      = "std"               // what ratios are to
	peer      = "netpoll"
	coalesced = "coalesced" // a channel a member, what it holds in one write
	loop      = "loop"      // multicast by a plain loop over the connections
	limit     = "limit"     // what the machine can do at most
)

const messageSize = 32

// Catalogue returns all scenarios.
func Catalogue() []Scenario {
	var all []Scenario
	for _, network := range []string{endpoint.TCP, endpoint.TLS} {
		all = append(all, streamEchoes(network)...)
		all = append(all, framedEchoes(network)...)
		all = append(all, streamMulticasts(network)...)
		all = append(all, idleSessions(network), fanout(network))
		all = append(all, churns(network)...)
	}
	return append(all, datagrams()...)
}
