package compare

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"example.com/chanio/benchmarks/internal/trial"
)

const (
	fanoutMembers = 1000
	fanoutRate    = 20 // messages per second: the members are idle in between
	// fanoutLength is a minimum: percentiles need messages.
	fanoutLength = 2 * time.Second
)

// fanout returns the scenario of the time from publishing a message until the
// last of many idle members has it, against a plain loop over their connections.
func fanout(network string) Scenario {
	s := Scenario{
		Name:  network + "-fanout-" + strconv.Itoa(fanoutMembers),
		Title: fmt.Sprintf("%s, one message until the last of %s idle members has it", strings.ToUpper(network), grouped(fanoutMembers)),
		Base:  Loop,
	}
	for _, impl := range []string{Ours, Loop, Std} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, set Settings) (Sample, error) {
			server := trial.Server{Job: "multicast", Impl: impl, Net: network, CPU: -1}
			f, err := trial.MeasureFanout(ctx, server, trial.Publishing{Members: fanoutMembers, Rate: fanoutRate, Size: messageSize, Length: max(set.Length, fanoutLength)})
			if err != nil {
				return nil, err
			}
			s := Sample{}
			s.addLatency(f.Latency)
			return s, nil
		}})
	}
	return s
}
