package compare

import (
	"context"
	"strconv"

	"example.com/chanio/benchmarks/internal/trial"
)

// idleCount is how many sessions are idle.
const idleCount = 10_000

// idleSessions returns the memory of idle sessions.
func idleSessions(network string) Scenario {
	s := Scenario{Name: network + "-idle-" + strconv.Itoa(idleCount), Base: base}
	for _, impl := range []string{ours, base} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, _ Settings) (Sample, error) {
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
