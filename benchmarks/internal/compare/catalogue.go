package compare

import "example.com/chanio/benchmarks/internal/endpoint"

// The names of entrants: who does a job, and how. Each that does not begin with
// "chanio, " is also the name of the server's implementation.
const (
	Ours     = "chanio"
	BothOurs = "chanio, both ends" // the client is chanio's too
	Batches  = "chanio, batches"   // RecvBatch and SendBatch
	// BothBatches has them in the client too.
	BothBatches = "chanio, batches, both ends"
	Std         = "std" // what ratios are to, unless said
	Netpoll     = "netpoll"
	Coalesced   = "coalesced" // a channel a member, what it holds in one write
	Loop        = "loop"      // multicast by a plain loop over the connections
	Limit       = "limit"     // what the machine can do at most
)

// messageSize is a message's bytes where a scenario does not say otherwise.
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
	all = append(all, datagrams()...)
	return append(all, sizeGrowth()...)
}
