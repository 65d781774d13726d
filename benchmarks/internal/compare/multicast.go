package compare

import (
	"context"
	"strconv"

	"example.com/chanio/benchmarks/internal/trial"
)

// streamMulticasts returns the fan-outs, as fast as one publisher can, over a
// stream transport.
func streamMulticasts(network string) []Scenario {
	return []Scenario{
		multicast{network: network, members: 1}.scenario(ours, base, coalesced, limit),
		multicast{network: network, members: 100}.scenario(ours, base, coalesced, limit),
		multicast{network: network, members: 5000}.scenario(ours, limit),
	}
}

// multicast is a scenario of one publisher and members that count.
type multicast struct {
	network string
	members int
}

func (m multicast) name() string {
	return m.network + "-multicast-" + strconv.Itoa(m.members)
}

func (m multicast) scenario(impls ...string) Scenario {
	s := Scenario{Name: m.name()}
	for _, impl := range impls {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, set Settings) (Sample, error) {
			return m.run(ctx, set, impl)
		}})
	}
	return s
}

func (m multicast) run(ctx context.Context, set Settings, impl string) (Sample, error) {
	server := trial.Server{
		Job: "multicast", Impl: impl, Net: m.network, CPU: -1,
		Args: []string{"-s", strconv.Itoa(messageSize), "-c", strconv.Itoa(m.members)},
	}
	r, err := trial.Measure(ctx, server, trial.Load{
		Client: "plain", Clients: m.members, Messages: 1, Size: messageSize,
		Warmup: set.Warmup, Length: set.Length,
	})
	if err != nil {
		return nil, err
	}
	return sample(r), nil
}
