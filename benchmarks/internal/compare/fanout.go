package compare

import (
	"context"
	"strconv"

	"example.com/chanio/benchmarks/internal/trial"
)

const (
	fanoutMembers = 1000
	fanoutRate    = 20 // messages a second: the members are idle in between
)

// fanout returns the time from a message's publishing until the last of many
// idle members has it, against a plain loop over their connections.
func fanout(network string) Scenario {
	s := Scenario{Name: network + "-fanout-" + strconv.Itoa(fanoutMembers), Base: loop}
	for _, impl := range []string{ours, loop, base} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, set Settings) (Sample, error) {
			server := trial.Server{Job: "multicast", Impl: impl, Net: network, CPU: -1}
			f, err := trial.MeasureFanout(ctx, server, fanoutMembers, fanoutRate, set.Length)
			if err != nil {
				return nil, err
			}
			return Sample{P50: microseconds(f.Latency.P50), P99: microseconds(f.Latency.P99)}, nil
		}})
	}
	return s
}
