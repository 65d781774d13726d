package compare

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Set is a group of scenarios that are run together.
type Set struct {
	Name string
	Does string
	has  func(name string) bool
}

// Sets returns all sets.
func Sets() []Set {
	all := []Set{
		{"all", "every scenario", func(string) bool { return true }},
		{"readme", "what the README shows, and what the bars need", nil},
		// Echo with 1,000 messages in flight and multicast, over tcp, ssl and udp,
		// with 1 and 100 clients.
		{"cppserver", "the twelve scenarios of CppServer", matches(`^(tcp|tls|udp)-(echo-(1|100)x1000|multicast-(1|100))$`)},
		{"bars", "what the bars need", inBars},
		{"clients", "TCP echo, 1 to 10,000 clients", matches(`^tcp-echo-10*x1$`)},
		{"sizes", "TCP echo, messages of 1 byte to 1 MiB", matches(`^tcp-echo-10x1-\d+(|Ki|Mi)B$`)},
		{"websocket", "everything compared with other WebSocket libraries", matches("^ws-")},
	}
	shown := all[2:6]
	all[1].has = func(name string) bool {
		return slices.ContainsFunc(shown, func(s Set) bool { return s.has(name) })
	}
	return all
}

func matches(expr string) func(name string) bool { return regexp.MustCompile(expr).MatchString }

func inBars(name string) bool {
	return slices.ContainsFunc(Bars(), func(b Bar) bool {
		return b.Figure.Scenario == name || slices.ContainsFunc(b.To, func(f Figure) bool { return f.Scenario == name })
	})
}

// Select returns the scenarios of a set whose names match a regular expression.
func Select(set, match string) ([]Scenario, error) {
	re, err := regexp.Compile(match)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var known []string
	for _, s := range Sets() {
		if s.Name != set {
			known = append(known, s.Name)
			continue
		}
		all := slices.DeleteFunc(Catalogue(), func(c Scenario) bool { return !s.has(c.Name) || !re.MatchString(c.Name) })
		if len(all) == 0 {
			return nil, fmt.Errorf("no scenario of set %q matches %q; -list lists them", set, match)
		}
		return all, nil
	}
	return nil, fmt.Errorf("-set: %q is none of %s", set, strings.Join(known, ", "))
}
