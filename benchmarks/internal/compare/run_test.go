package compare

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripted returns an entrant whose trials have the given message rates. A rate
// below zero is a failure.
func scripted(name string, rates ...float64) Entrant {
	i := 0
	return Entrant{name, func(context.Context, Settings) (Sample, error) {
		rate := rates[i]
		i++
		if rate < 0 {
			return nil, errors.New("the server broke | down")
		}
		return Sample{Messages: rate}, nil
	}}
}

func newRun(repeat int, scenarios ...Scenario) *Run {
	return &Run{Scenarios: scenarios, Repeat: repeat, Progress: &Progress{W: io.Discard}}
}

func TestRunSurvivesAServersFailure(t *testing.T) {
	r := newRun(3,
		Scenario{Name: "a", Base: Std, Entrants: []Entrant{scripted(Ours, 10, -1, 30), scripted(Std, 10, 20, 20)}},
		Scenario{Name: "b", Base: Std, Entrants: []Entrant{scripted(Ours, -1, -1, -1), scripted(Std, 1, 1, 1)}},
	)
	r.Do(t.Context())
	o := r.Outcome(nil)

	require.Equal(t, Spread{20, 10, 30, 2}, o.Results[0].Figures[Messages])
	require.Equal(t, Spread{1.25, 1, 1.5, 2}, o.Results[0].Ratios[Messages])
	require.Equal(t, map[string]int{"the server broke | down": 1}, o.Results[0].Failures)
	require.Equal(t, Spread{20, 10, 20, 3}, o.Results[1].Figures[Messages])
	require.Empty(t, o.Results[1].Ratios, "the base has no ratio to itself")
	require.Empty(t, o.Results[2].Figures)
	require.Equal(t, map[string]int{"the server broke | down": 3}, o.Results[2].Failures)
	require.Equal(t, 3, o.Results[3].Figures[Messages].Runs)
}

func TestRunTakesTurnsInWhoIsFirst(t *testing.T) {
	var order []string
	entrant := func(name string) Entrant {
		return Entrant{name, func(context.Context, Settings) (Sample, error) {
			order = append(order, name)
			return Sample{}, nil
		}}
	}
	newRun(2, Scenario{Name: "a", Base: Std, Entrants: []Entrant{entrant("x"), entrant("y")}}).Do(t.Context())
	require.Equal(t, []string{"x", "y", "y", "x"}, order)
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	stop := Entrant{"x", func(context.Context, Settings) (Sample, error) {
		ran++
		cancel()
		return Sample{Messages: 1}, nil
	}}
	r := newRun(5, Scenario{Name: "a", Base: Std, Entrants: []Entrant{stop}})
	r.Do(ctx)
	require.Equal(t, 1, ran)
	require.Equal(t, 1, r.Outcome(nil).Results[0].Figures[Messages].Runs, "what was measured counts")
}

func TestBarsAreJudgedByTheMedianOfRatios(t *testing.T) {
	r := newRun(3,
		Scenario{Name: "a", Base: Std, Entrants: []Entrant{scripted(Ours, 8, 10, 30), scripted(Std, 10, 10, 10)}},
		Scenario{Name: "b", Base: Std, Entrants: []Entrant{scripted(Ours, 4, 4, 4)}},
		Scenario{Name: "failed", Base: Std, Entrants: []Entrant{scripted(Ours, -1, -1, -1), scripted(Std, 1, 1, 1)}},
	)
	r.Do(t.Context())
	for _, c := range []struct {
		name     string
		bar      Bar
		measured bool
		want     Verdict
	}{
		{"reached exactly", atLeast("a", Messages, 1), true, Verdict{Want: ">= 1", Got: Spread{1, 0.8, 3, 3}, Holds: true}},
		{"missed", atLeast("a", Messages, 1.1), true, Verdict{Want: ">= 1.1", Got: Spread{1, 0.8, 3, 3}}},
		{"the harder one too", harder(atLeast("a", Messages, 0.5), 0.9), true, Verdict{Want: ">= 0.5 (try 0.9)", Got: Spread{1, 0.8, 3, 3}, Holds: true, Tried: true}},
		{"not the harder one", harder(atLeast("a", Messages, 0.5), 2), true, Verdict{Want: ">= 0.5 (try 2)", Got: Spread{1, 0.8, 3, 3}, Holds: true}},
		{"an upper bound", atMost("a", Messages, 12_000), true, Verdict{Want: "<= 12.0 k", Got: Spread{10, 8, 30, 3}, Holds: true}},
		{"an upper bound missed", atMost("a", Messages, 9), true, Verdict{Want: "<= 9", Got: Spread{10, 8, 30, 3}}},
		{"another scenario", across("a", atLeast("b", Messages, 0.4)), true, Verdict{Want: ">= 0.4", Got: Spread{0.4, 4.0 / 30, 0.5, 3}, Holds: true}},
		{"nothing measured", atLeast("failed", Messages, 0), true, Verdict{Want: ">= 0"}},
		{"for the record", stated("a", Messages), true, Verdict{Got: Spread{10, 8, 30, 3}}},
		{"not run", atLeast("nowhere", Messages, 1), false, Verdict{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, measured := r.judge(c.bar)
			require.Equal(t, c.measured, measured)
			if !measured {
				return
			}
			require.Equal(t, c.want, Verdict{Want: v.Want, Got: v.Got, Holds: v.Holds, Tried: v.Tried})
		})
	}
}

func TestEachBarHasItsScenario(t *testing.T) {
	has := make(map[Figure]bool)
	for _, s := range Catalogue() {
		for _, e := range s.Entrants {
			has[Figure{Scenario: s.Name, Entrant: e.Name}] = true
		}
	}
	for _, b := range Bars() {
		for _, f := range []Figure{b.Figure, b.To} {
			if f != (Figure{}) {
				require.True(t, has[Figure{Scenario: f.Scenario, Entrant: f.Entrant}], "%+v", f)
			}
		}
	}
}

func TestScenarioNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Catalogue() {
		require.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
	}
}

func TestSelectMatchesNames(t *testing.T) {
	all := []Scenario{{Name: "tcp-echo"}, {Name: "tls-echo"}, {Name: "tcp-idle"}}
	require.Equal(t, []Scenario{{Name: "tcp-echo"}, {Name: "tcp-idle"}}, Select(all, regexp.MustCompile("^tcp")))
	require.Len(t, all, 3)
}

func TestOutcomeIsWrittenWholeHoweverMuchFailed(t *testing.T) {
	r := newRun(2,
		Scenario{Name: "a", Base: Std, Entrants: []Entrant{scripted(Ours, 2e6, 4e6), scripted(Std, 1e6, 1e6)}},
		Scenario{Name: "b", Base: Std, Entrants: []Entrant{scripted(Ours, -1, -1)}},
		Scenario{Name: "c", Base: Loop, Entrants: []Entrant{scripted(Std, 6, 6), scripted(Loop, 2, 2)}},
	)
	r.Do(t.Context())
	o := r.Outcome([]Bar{atLeast("a", Messages, 2.5), absolute(atLeast("b", Messages, 1))})

	var text strings.Builder
	require.NoError(t, o.WriteMarkdown(&text))
	require.Contains(t, text.String(), "| a | chanio | 3.00 (2.00 to 4.00) | 3.00 M (2.00 M to 4.00 M) |")
	require.Contains(t, text.String(), "| a | std | base | 1.00 M (1.00 M to 1.00 M) |")
	require.Contains(t, text.String(), "| c | std | 3.00 (3.00 to 3.00) | 6 (6 to 6) |", "a scenario has a base of its own")
	require.Contains(t, text.String(), "| b | chanio | the server broke / down | 2 |")
	require.Contains(t, text.String(), "| a, chanio: messages/s to std | >= 2.5 | 3.00 (2.00 to 4.00) | yes |")
	require.Contains(t, text.String(), "| b, chanio: messages/s | >= 1 |  | not measured |")

	_, err := json.Marshal(o)
	require.NoError(t, err)
}
