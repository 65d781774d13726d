package compare

import "example.com/chanio/benchmarks/internal/endpoint"

// The names of entrants: who does a job, and how. A name that does not begin
// with "chanio, " is also that of the server's implementation.
const (
	Ours     = "chanio"
	BothOurs = "chanio, both ends" // the client is chanio's too
	Batches  = "chanio, batches"   // RecvBatch and SendBatch
	// BothBatches uses batches in the client too.
	BothBatches = "chanio, batches, both ends"
	Std         = "std" // the base of ratios, unless stated otherwise
	Netpoll     = "netpoll"
	Coalesced   = "coalesced" // a channel per member, whose content goes out in one write
	Loop        = "loop"      // multicast by a plain loop over the connections
	Limit       = "limit"     // the most that the machine can do
)

// messageSize is the size of a message in bytes unless a scenario sets another.
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
