package compare

import (
	"fmt"
	"slices"
	"strings"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// A Set is a group of scenarios that are run together.
type Set struct {
	Name string
	Does string
	has  func() []string // names of scenarios; nil: all
}

// Sets returns all sets.
func Sets() []Set {
	return []Set{
		{"all", "every scenario", nil},
		{"readme", "what the README shows, and all that the bars need", readme},
		{"cppserver", "the twelve scenarios of CppServer", cppServer},
		{"bars", "what the bars need", barred},
		{"clients", "TCP echo, 1 to 10,000 clients", func() []string { return scenariosOf(ClientSteps()) }},
		{"sizes", "TCP echo, messages of 1 byte to 1 MiB", func() []string { return scenariosOf(SizeSteps()) }},
	}
}

// InSet returns the scenarios of a set of this name.
func InSet(all []Scenario, name string) ([]Scenario, error) {
	var known []string
	for _, s := range Sets() {
		if s.Name != name {
			known = append(known, s.Name)
			continue
		}
		if s.has == nil {
			return all, nil
		}
		names := s.has()
		return slices.DeleteFunc(slices.Clone(all), func(s Scenario) bool { return !slices.Contains(names, s.Name) }), nil
	}
	return nil, fmt.Errorf("set %q is none of %s", name, strings.Join(known, ", "))
}

// cppServer returns CppServer's scenarios: echo with 1,000 messages in flight
// and multicast, over tcp, ssl and udp, with 1 and 100 clients.
func cppServer() []string {
	var names []string
	for _, network := range []string{endpoint.TCP, endpoint.TLS, endpoint.UDP} {
		for _, clients := range []int{1, 100} {
			names = append(names,
				echo{network: network, clients: clients, inFlight: 1000}.name(),
				multicast{network: network, members: clients}.name())
		}
	}
	return names
}

func barred() []string {
	var names []string
	for _, b := range Bars() {
		names = append(names, b.Figure.Scenario, b.To.Scenario)
	}
	return names
}

func readme() []string {
	return slices.Concat(cppServer(), barred(), scenariosOf(ClientSteps()), scenariosOf(SizeSteps()))
}
