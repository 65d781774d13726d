package compare

import (
	"context"
	"strings"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// churnClients is how many clients connect at a time.
const churnClients = 16

// churns returns the scenarios in which connections come and go, over TLS also
// with resumed sessions.
func churns(network string) []Scenario {
	all := []Scenario{churn(network+"-churn", network, false)}
	if network == endpoint.TLS {
		all = append(all, churn(network+"-churn-resumed", network, true))
	}
	return all
}

func churn(name, network string, resume bool) Scenario {
	title := strings.ToUpper(network) + " connections that come and go"
	if resume {
		title += ", resumed"
	}
	s := Scenario{Name: name, Title: title, Base: Std}
	for _, impl := range []string{Ours, Std} {
		s.Entrants = append(s.Entrants, Entrant{impl, func(ctx context.Context, set Settings) (Sample, error) {
			server := trial.Server{Job: "echo", Impl: impl, Net: network, CPU: -1}
			c, err := trial.MeasureChurn(ctx, server, trial.Connecting{Workers: churnClients, Size: messageSize, Resume: resume, Length: set.Length})
			if err != nil {
				return nil, err
			}
			s := Sample{Connections: c.Rate()}
			s.addLatency(c.Latency)
			s.addServer(c.Server)
			return s, nil
		}})
	}
	return s
}
