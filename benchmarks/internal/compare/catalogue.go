package compare

import "example.com/chanio/benchmarks/internal/endpoint"

// The names of entrants: who does a job, and how.
const (
	ours      = "chanio"
	base      = "std"       // what ratios are to
	coalesced = "coalesced" // a channel a member, what it holds in one write
	limit     = "limit"     // what the machine can do at most
)

const messageSize = 32

// Catalogue returns all scenarios.
func Catalogue() []Scenario {
	var all []Scenario
	all = append(all, streamEchoes(endpoint.TCP, ours, base)...)
	all = append(all, idleSessions(endpoint.TCP))
	all = append(all, streamMulticasts(endpoint.TCP)...)
	return all
}
