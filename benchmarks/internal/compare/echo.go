package compare

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"example.com/chanio/benchmarks/internal/endpoint"
	"example.com/chanio/benchmarks/internal/trial"
)

// echo is a round-trip scenario.
type echo struct {
	network  string
	clients  int
	inFlight int // messages of each client
	size     int // bytes of a message; if zero, messageSize, which the name omits
	pinned   bool
	framed   bool
	batch    bool     // chanio's ends use batches
	busy     int      // goroutines that compute next to the server
	flags    []string // further ones of server and load
}

func (e echo) name() string {
	job := "-echo-"
	if e.framed {
		job = "-framed-"
	}
	name := e.network + job + strconv.Itoa(e.clients) + "x" + strconv.Itoa(e.inFlight)
	if e.size > 0 {
		name += "-" + strings.ReplaceAll(size(e.size), " ", "")
	}
	if e.pinned {
		name += "-pinned"
	}
	if e.busy > 0 {
		name += "-busy" + strconv.Itoa(e.busy)
	}
	return name
}

func (e echo) title() string {
	what := "echo"
	if e.framed {
		what = "framed echo"
	}
	t := fmt.Sprintf("%s %s, %s, %s in flight", strings.ToUpper(e.network), what, counted(e.clients, "client"), grouped(e.inFlight))
	if e.size > 0 {
		t += " of " + size(e.size)
	}
	if e.pinned {
		t += ", all on one CPU"
	}
	if e.busy > 0 {
		t += ", beside " + counted(e.busy, "goroutine") + " that compute"
	}
	return t
}

// scenario returns e with an entrant for each name, all with the plain client
// except those of both ends.
func (e echo) scenario(entrants ...string) Scenario {
	s := Scenario{Name: e.name(), Title: e.title(), Base: Std}
	for _, name := range entrants {
		impl, client := name, "plain"
		e := e
		switch name {
		case BothOurs, BothBatches:
			impl, client = Ours, Ours
		case Batches:
			impl = Ours
		}
		e.batch = name == Batches || name == BothBatches
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
	if e.size > 0 {
		load.Size = e.size
	}
	if e.busy > 0 {
		server.Args = append([]string{"-busy", strconv.Itoa(e.busy)}, server.Args...)
	}
	if e.framed {
		server.Args = append([]string{"-frame"}, server.Args...)
		load.Args = append([]string{"-frame"}, load.Args...)
	}
	if e.batch {
		server.Args = append([]string{"-batch"}, server.Args...)
		load.Args = append([]string{"-batch"}, load.Args...)
	}
	r, err := trial.Measure(ctx, server, load)
	if err != nil {
		return nil, err
	}
	s := loadSample(r)
	if e.network == endpoint.UDP {
		s.addLoss(r)
	}
	return s, nil
}

// streamEchoes returns the round trips of raw bytes over a stream transport.
func streamEchoes(network string) []Scenario {
	entrants := []string{Ours, Batches, Std}
	if network == endpoint.TCP {
		entrants = append(entrants, Netpoll)
	}
	var all []Scenario
	for _, n := range clientCounts {
		all = append(all, echo{network: network, clients: n, inFlight: 1}.scenario(entrants...))
	}
	for _, e := range []echo{
		{network: network, clients: 1, inFlight: 1000},
		{network: network, clients: 100, inFlight: 1000},
		{network: network, clients: 1, inFlight: 1, pinned: true},
		{network: network, clients: 100, inFlight: 1, busy: 4},
	} {
		all = append(all, e.scenario(entrants...))
	}
	return all
}

// framedEchoes returns the round trips of whole messages over a stream
// transport.
func framedEchoes(network string) []Scenario {
	var all []Scenario
	for _, clients := range []int{1, 100} {
		e := echo{network: network, clients: clients, inFlight: 1000, framed: true}
		all = append(all, e.scenario(Ours, Batches, Std, BothOurs, BothBatches))
	}
	return all
}
