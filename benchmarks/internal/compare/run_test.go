package compare

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/endpoint"
)

// Two scenarios of the catalogue, so that tables have them.
var (
	scenarioA = Scenario{Job: "echo", Net: endpoint.TCP, Clients: 1, InFlight: 1}
	scenarioB = Scenario{Job: "echo", Net: endpoint.TCP, Clients: 10, InFlight: 1}
)

const a, b = "tcp-echo-1x1", "tcp-echo-10x1"

// rates are the message rates of an entrant's trials, by scenario and entrant. A
// rate below zero is a failure.
type rates map[[2]string][]float64

// run runs a scripted comparison.
func (script rates) run(t *testing.T, repeat int, scenarios ...Scenario) *Outcome {
	t.Helper()
	next := make(map[[2]string]int)
	r := &Run{Scenarios: scenarios, Repeat: repeat, Command: "compare", Progress: io.Discard}
	r.measure = func(_ context.Context, s Scenario, entrant string, _ Settings) (Figures, error) {
		k := [2]string{s.Name(), entrant}
		rate := script[k][next[k]]
		next[k]++
		if rate < 0 {
			return nil, errors.New("the server broke | down")
		}
		return Figures{Messages: rate}, nil
	}
	return r.Do(t.Context())
}

func with(s Scenario, entrants ...string) Scenario {
	s.Entrants = entrants
	return s
}

func TestRunSurvivesAServersFailure(t *testing.T) {
	o := rates{
		{a, Ours}: {10, -1, 30}, {a, Std}: {10, 20, 20},
		{b, Ours}: {-1, -1, -1}, {b, Std}: {1, 1, 1},
	}.run(t, 3, with(scenarioA, Ours, Std), with(scenarioB, Ours, Std))

	require.Equal(t, Spread{20, 10, 30, 2}, o.Figure(a, Ours, Messages))
	require.Equal(t, Spread{1.25, 1, 1.5, 2}, o.Ratio(scenarioA, Ours, Messages))
	require.Equal(t, Spread{20, 10, 20, 3}, o.Figure(a, Std, Messages))
	require.Zero(t, o.Ratio(scenarioA, Std, Messages), "the base has no ratio to itself")
	require.Zero(t, o.Figure(b, Ours, Messages))
	require.Equal(t, 3, o.Figure(b, Std, Messages).Runs)

	var file strings.Builder
	require.NoError(t, o.Write(&file))
	again, err := Read(strings.NewReader(file.String()), "file")
	require.NoError(t, err)
	require.Equal(t, o, again)
}

func TestRunTakesTurnsInWhoIsFirst(t *testing.T) {
	o := rates{{a, Ours}: {1, 1}, {a, Std}: {1, 1}}.run(t, 2, with(scenarioA, Ours, Std))
	var order []string
	for _, trial := range o.Trials {
		order = append(order, trial.Entrant)
	}
	require.Equal(t, []string{Ours, Std, Std, Ours}, order)
}

func TestEnoughRepetitionsAreNotRepeated(t *testing.T) {
	s := with(scenarioA, Std)
	s.Most = 1
	require.Equal(t, 1, rates{{a, Std}: {1}}.run(t, 3, s).Figure(a, Std, Messages).Runs)
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	var progress strings.Builder
	r := &Run{Scenarios: []Scenario{with(scenarioA, Std)}, Repeat: 5, Progress: &progress}
	r.measure = func(context.Context, Scenario, string, Settings) (Figures, error) {
		if ran++; ran == 2 {
			cancel()
		}
		return Figures{Messages: 1}, ctx.Err()
	}
	o := r.Do(ctx)
	require.Equal(t, 2, ran)
	require.Equal(t, 1, o.Figure(a, Std, Messages).Runs, "what was measured counts")
	require.Contains(t, progress.String(), "2/5, ")
	require.Contains(t, progress.String(), " left: tcp-echo-1x1, std, repetition 2 of 5\n")
}

func TestBarsAreJudgedByTheMedianOfRatios(t *testing.T) {
	o := rates{
		{a, Ours}: {8, 10, 30}, {a, Std}: {10, 10, 10}, {a, Netpoll}: {-1, 20, 5}, {a, Loop}: {-1, -1, -1},
		{b, Ours}: {4, 4, 4},
	}.run(t, 3, with(scenarioA, Ours, Std, Netpoll, Loop), with(scenarioB, Ours))
	for _, c := range []struct {
		name string
		bar  Bar
		want []string // what is wanted, got, and the verdict
	}{
		{"reached exactly", atLeast(a, Messages, 1), []string{">= 1", "1.00 (0.80 to 3.00)", "yes"}},
		{"missed", atLeast(a, Messages, 1.1), []string{">= 1.1", "1.00 (0.80 to 3.00)", "**no**"}},
		{"the harder one too", harder(atLeast(a, Messages, 0.5), 0.9), []string{">= 0.5 (try 0.9)", "1.00 (0.80 to 3.00)", "yes, the harder one too"}},
		{"not the harder one", harder(atLeast(a, Messages, 0.5), 2), []string{">= 0.5 (try 2)", "1.00 (0.80 to 3.00)", "yes"}},
		{"an upper bound", atMost(a, Messages, 12_000), []string{"<= 12.0 k", "10 (8 to 30)", "yes"}},
		{"an upper bound missed", atMost(a, Messages, 9), []string{"<= 9", "10 (8 to 30)", "**no**"}},
		{"another scenario", across(atLeast(b, Messages, 0.4), a), []string{">= 0.4", "0.40 (0.13 to 0.50)", "yes"}},
		{"the best of others", against(atLeast(a, Messages, 1), Std, Netpoll, Loop), []string{">= 1", "0.80 (0.50 to 3.00)", "**no**"}},
		{"nothing measured", by(Loop, atLeast(a, Messages, 0)), []string{">= 0", "", "not measured"}},
		{"for the record", stated(a, Messages), []string{"", "10 (8 to 30)", "for the record"}},
		{"not run", atLeast("nowhere", Messages, 1), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := c.bar.row(o)
			if row != nil {
				row = row[1:]
			}
			require.Equal(t, c.want, row)
		})
	}
}

func TestOutcomeIsWrittenWholeHoweverMuchFailed(t *testing.T) {
	fanout := Scenario{Job: "fanout", Net: endpoint.TCP, Clients: fanoutMembers, Entrants: []string{Std, Loop}, Base: Loop}
	o := rates{
		{a, Ours}: {2e6, 4e6}, {a, Std}: {1e6, 1e6},
		{b, Ours}:                {-1, -1},
		{"tcp-fanout-1000", Std}: {6, 6}, {"tcp-fanout-1000", Loop}: {2, 2},
	}.run(t, 2, with(scenarioA, Ours, Std), with(scenarioB, Ours), fanout)

	var text strings.Builder
	require.NoError(t, o.WriteTables(&text, []Bar{atLeast(a, Messages, 2.5), absolute(atLeast(b, Messages, 1))}))
	for _, row := range []string{
		"| tcp-echo-1x1 | chanio | 3.00 (2.00 to 4.00) | 3.00 M (2.00 M to 4.00 M) |",
		"| tcp-echo-1x1 | std | base | 1.00 M (1.00 M to 1.00 M) |",
		"| tcp-fanout-1000 | std | 3.00 (3.00 to 3.00) | 6 (6 to 6) |", // a scenario has a base of its own
		"| tcp-echo-10x1 | chanio | the server broke / down | 2 |",
		"| tcp-echo-1x1, chanio: messages/s to std | >= 2.5 | 3.00 (2.00 to 4.00) | yes |",
		"| tcp-echo-10x1, chanio: messages/s | >= 1 |  | not measured |",
	} {
		require.Contains(t, text.String(), row)
	}
}
