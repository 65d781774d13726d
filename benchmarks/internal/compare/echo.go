package compare

import (
	"context"
	"strconv"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// echo is a round-trip scenario.
type echo struct {
	network  string
	clients  int
	inFlight int // messages of each client
	pinned   bool
	framed   bool
	flags    []string // further ones of server and load
}

func (e echo) name() string {
	job := "-echo-"
	if e.framed {
		job = "-framed-"
	}
	name := e.network + job + strconv.Itoa(e.clients) + "x" + strconv.Itoa(e.inFlight)
	if e.pinned {
		name += "-pinned"
	}
	return name
}

// scenario returns e with an entrant for each name, all with the plain client
// but bothOurs.
func (e echo) scenario(entrants ...string) Scenario {
	s := Scenario{Name: e.name(), Base: base}
	for _, name := range entrants {
		impl, client := name, "plain"
		if name == bothOurs {
			impl, client = ours, ours
		}
		s.Entrants = append(s.Entrants, Entrant{name, func(ctx context.Context, set Settings) (Sample, error) {
			return e.run(ctx, set, impl, client)
		}})
	}
	return s
}

func (e echo) run(ctx context.Context, set Settings, impl, client string) (Sample, error) {
	server := trial.Server{Job: "echo", Impl: impl, Net: e.network, CPU: -1, Args: e.flags}
	if e.pinned {
		server.CPU = set.CPU
	}
	load := trial.Load{
		Client: client, Clients: e.clients, Messages: e.inFlight, Size: messageSize, Args: e.flags,
		Warmup: set.Warmup, Length: set.Length,
	}
	if e.framed {
		server.Args = append([]string{"-frame"}, server.Args...)
		load.Args = append([]string{"-frame"}, load.Args...)
	}
	r, err := trial.Measure(ctx, server, load)
	if err != nil {
		return nil, err
	}
	if e.network == endpoint.UDP {
		return sample(r).withLoss(r), nil
	}
	return sample(r), nil
}

// streamEchoes returns the round trips of raw bytes over a stream transport.
func streamEchoes(network string) []Scenario {
	entrants := []string{ours, base}
	if network == endpoint.TCP {
		entrants = append(entrants, peer)
	}
	var all []Scenario
	for _, shape := range []struct{ clients, inFlight int }{
		{1, 1}, {1, 1000}, {100, 1}, {100, 1000}, {1000, 1}, {10_000, 1},
	} {
		e := echo{network: network, clients: shape.clients, inFlight: shape.inFlight}
		all = append(all, e.scenario(entrants...))
	}
	e := echo{network: network, clients: 1, inFlight: 1, pinned: true}
	return append(all, e.scenario(entrants...))
}

// framedEchoes returns the round trips of whole messages over a stream
// transport.
func framedEchoes(network string) []Scenario {
	var all []Scenario
	for _, clients := range []int{1, 100} {
		e := echo{network: network, clients: clients, inFlight: 1000, framed: true}
		all = append(all, e.scenario(ours, base, bothOurs))
	}
	return all
}
