package compare

import (
	"context"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// churnClients is how many clients connect at a time.
const churnClients = 16

// churns returns how fast connections come and go, over TLS also when their
// sessions are resumed.
func churns(network string) []Scenario {
	all := []Scenario{churn(network+"-churn", network, false)}
	if network == endpoint.TLS {
		all = append(all, churn(network+"-churn-resumed", network, true))
	}
	return all
}

func churn(name, network string, resume bool) Scenario {
	s := Scenario{Name: name, Base: base}
	for _, impl := range []string{ours, base} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, set Settings) (Sample, error) {
			server := trial.Server{Job: "echo", Impl: impl, Net: network, CPU: -1}
			c, err := trial.MeasureChurn(ctx, server, churnClients, resume, set.Length)
			if err != nil {
				return nil, err
			}
			sample := Sample{Connections: c.Rate()}
			if l := c.Latency; l != nil {
				sample[P50], sample[P99] = microseconds(l.P50), microseconds(l.P99)
			}
			if u := c.Server; u != nil {
				sample[ServerCPU], sample[Peak] = u.CPUSeconds, float64(u.PeakBytes)
			}
			return sample, nil
		}})
	}
	return s
}
