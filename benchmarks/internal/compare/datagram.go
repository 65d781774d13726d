package compare

import (
	"strconv"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// datagramBuffer is the kernel buffer that each socket of the datagram scenarios
// requests. The default holds fewer small datagrams than are in flight.
const datagramBuffer = 4 << 20

// datagrams returns the round-trip and group scenarios over UDP.
func datagrams() []Scenario {
	flags := []string{"-kernelbuffer", strconv.Itoa(datagramBuffer)}
	var all []Scenario
	for _, shape := range []struct{ clients, inFlight int }{{1, 1}, {1, 1000}, {100, 1}, {100, 1000}} {
		e := echo{network: endpoint.UDP, clients: shape.clients, inFlight: shape.inFlight, flags: flags}
		all = append(all, e.scenario(Ours, Std, BothOurs))
	}
	for _, members := range []int{1, 100} {
		m := multicast{network: endpoint.UDP, members: members, flags: flags}
		all = append(all, m.scenario(Ours, Std, BothOurs))
	}
	return all
}
