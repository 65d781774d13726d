package compare

import (
	"slices"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// A Step is one scenario of a series in which one thing grows.
type Step struct {
	X        float64 // clients, or bytes of a message
	Scenario string
}

// The shapes of the two series over TCP, with 1 message in flight each.
const sizeClients = 10

var (
	clientCounts = []int{1, 10, 100, 1000, 10_000}
	sizes        = []int{1, 16, 256, 4 << 10, 64 << 10, 1 << 20}
)

func growing(clients, size int) echo {
	return echo{network: endpoint.TCP, clients: clients, inFlight: 1, size: size}
}

// ClientSteps returns the echo scenarios with growing numbers of clients.
func ClientSteps() []Step {
	var steps []Step
	for _, n := range clientCounts {
		steps = append(steps, Step{float64(n), growing(n, 0).name()})
	}
	return steps
}

// SizeSteps returns the echo scenarios with growing message sizes.
func SizeSteps() []Step {
	var steps []Step
	for _, n := range sizes {
		steps = append(steps, Step{float64(n), growing(sizeClients, n).name()})
	}
	return steps
}

func sizeGrowth() []Scenario {
	var all []Scenario
	for _, n := range sizes {
		all = append(all, growing(sizeClients, n).scenario(Ours, Std, Netpoll))
	}
	return all
}

func scenariosOf(steps []Step) []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.Scenario)
	}
	return slices.Clip(names)
}
