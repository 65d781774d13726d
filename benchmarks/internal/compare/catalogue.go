package compare

import (
	"context"
	"strconv"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// The names of entrants: who does a job, and how.
const (
	ours = "chanio"
	base = "std" // what ratios are to
	peer = "netpoll"
)

const messageSize = 32

// Catalogue returns all scenarios.
func Catalogue() []Scenario {
	var all []Scenario
	all = append(all, streamEchoes(endpoint.TCP, ours, base)...)
	all = append(all, idleSessions(endpoint.TCP))
	return all
}

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

const idleCount = 10_000

// idleSessions returns the memory of idle sessions.
func idleSessions(network string) Scenario {
	s := Scenario{Name: network + "-idle-" + strconv.Itoa(idleCount)}
	for _, impl := range []string{ours, base} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, set Settings) (Sample, error) {
			m, err := trial.MeasureIdle(ctx, trial.Server{Job: "echo", Impl: impl, Net: network, CPU: -1}, idleCount)
			if err != nil {
				return nil, err
			}
			return Sample{
				Connected: m.Connected.Resident, ConnectedCollected: m.Connected.Collected,
				Echoed: m.Echoed.Resident, EchoedCollected: m.Echoed.Collected,
			}, nil
		}})
	}
	return s
}
