package compare

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// multicast is a scenario of one publisher at full speed and members that count.
type multicast struct {
	network string
	members int
	flags   []string // further ones of server and load
	// publish makes the latencies those of publishing a message. It lets our
	// members skip messages when they lag, so that publishing never blocks.
	publish bool
}

func (m multicast) name() string {
	job := "-multicast-"
	if m.publish {
		job = "-publish-"
	}
	return m.network + job + strconv.Itoa(m.members)
}

func (m multicast) title() string {
	to := counted(m.members, "client")
	if m.network == endpoint.UDP {
		to = "a group of " + grouped(m.members)
	}
	if m.publish {
		return fmt.Sprintf("%s multicast to %s, what publishing takes", strings.ToUpper(m.network), to)
	}
	return fmt.Sprintf("%s multicast to %s", strings.ToUpper(m.network), to)
}

// scenario returns m with an entrant for each name, all with the plain client
// except bothOurs.
func (m multicast) scenario(entrants ...string) Scenario {
	s := Scenario{Name: m.name(), Title: m.title(), Base: Std}
	for _, name := range entrants {
		impl, client := name, "plain"
		if name == BothOurs {
			impl, client = Ours, Ours
		}
		s.Entrants = append(s.Entrants, Entrant{name, func(ctx context.Context, set Settings) (Sample, error) {
			return m.run(ctx, set, impl, client)
		}})
	}
	return s
}

func (m multicast) run(ctx context.Context, set Settings, impl, client string) (Sample, error) {
	server := trial.Server{
		Job: "multicast", Impl: impl, Net: m.network, CPU: -1,
		Args: append([]string{"-s", strconv.Itoa(messageSize), "-c", strconv.Itoa(m.members)}, m.flags...),
	}
	if m.publish {
		server.Published = true
		server.Args = append(server.Args, "-lag", "drop")
	}
	r, err := trial.Measure(ctx, server, trial.Load{
		Client: client, Clients: m.members, Messages: 1, Size: messageSize, Args: m.flags,
		Warmup: set.Warmup, Length: set.Length,
	})
	if err != nil {
		return nil, err
	}
	s := loadSample(r)
	if m.network == endpoint.UDP {
		s.addLoss(r)
	}
	return s, nil
}

// streamMulticasts returns the fan-out scenarios over a stream transport.
func streamMulticasts(network string) []Scenario {
	return []Scenario{
		multicast{network: network, members: 1}.scenario(Ours, Std, Coalesced, Limit),
		multicast{network: network, members: 100}.scenario(Ours, Std, Coalesced, Limit),
		multicast{network: network, members: 5000}.scenario(Ours, Limit),
		multicast{network: network, members: 100, publish: true}.scenario(Ours, Std, Coalesced),
	}
}
