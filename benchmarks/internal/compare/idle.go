package compare

import (
	"context"
	"strconv"
	"strings"

	"example.com/chanio/benchmarks/internal/trial"
)

const (
	idleCount = 10_000 // sessions
	// idleRepeats is enough, since memory does not depend on what else runs.
	idleRepeats = 2
)

// idleSessions returns the scenario of idle sessions' memory.
func idleSessions(network string) Scenario {
	s := Scenario{
		Name:  network + "-idle-" + strconv.Itoa(idleCount),
		Title: grouped(idleCount) + " idle " + strings.ToUpper(network) + " sessions",
		Base:  Std,
		Most:  idleRepeats,
	}
	for _, impl := range []string{Ours, Std} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, _ Settings) (Sample, error) {
			m, err := trial.MeasureIdle(ctx, trial.Server{Job: "echo", Impl: impl, Net: network, CPU: -1}, idleCount, messageSize)
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
