package compare

import (
	"context"
	"strconv"

	"example.com/chanio/benchmarks/internal/trial"
)

// streamEchoes returns the round trips over a stream transport.
func streamEchoes(network string, entrants ...string) []Scenario {
	var all []Scenario
	for _, shape := range []struct{ clients, inFlight int }{{1, 1}, {1, 1000}, {100, 1}, {100, 1000}, {1000, 1}} {
		all = append(all, echo{network: network, clients: shape.clients, inFlight: shape.inFlight}.scenario(entrants...))
	}
	return append(all, echo{network: network, clients: 1, inFlight: 1, pinned: true}.scenario(entrants...))
}

// echo is a round-trip scenario.
type echo struct {
	network  string
	clients  int
	inFlight int
	pinned   bool // both processes run on one CPU
}

func (e echo) name() string {
	name := e.network + "-echo-" + strconv.Itoa(e.clients) + "x" + strconv.Itoa(e.inFlight)
	if e.pinned {
		name += "-pinned"
	}
	return name
}

// scenario returns e with an entrant for each of the implementations, all with
// the plain client.
func (e echo) scenario(impls ...string) Scenario {
	s := Scenario{Name: e.name()}
	for _, impl := range impls {
		s.Entrants = append(s.Entrants, e.entrant(impl, impl, "plain"))
	}
	return s
}

func (e echo) entrant(name, impl, client string) Entrant {
	return Entrant{name, func(ctx context.Context, set Settings) (Sample, error) {
		server := trial.Server{Job: "echo", Impl: impl, Net: e.network, CPU: -1}
		if e.pinned {
			server.CPU = set.CPU
		}
		load := trial.Load{
			Client: client, Clients: e.clients, Messages: e.inFlight, Size: messageSize,
			Warmup: set.Warmup, Length: set.Length,
		}
		r, err := trial.Measure(ctx, server, load)
		if err != nil {
			return nil, err
		}
		return sample(r), nil
	}}
}
