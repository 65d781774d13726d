package compare

import (
	"context"
	"errors"
	"io"
	"math"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/perf/benchfmt"
)

// Two scenarios of the catalogue, so that tables have them.
var (
	scenarioA = Scenario{Name: a, Base: Std}
	scenarioB = Scenario{Name: b, Base: Std}
)

const (
	a, b = "tcp-echo-1x1", "tcp-echo-10x1"

	Std, Netpoll, Loop = "std", "netpoll", "loop"
)

// rates are the message rates of an entrant's trials, by scenario and entrant. A
// rate below zero is a failure.
type rates map[[2]string][]float64

// run runs a scripted comparison.
func (script rates) run(t *testing.T, repeat int, scenarios ...Scenario) Outcome {
	t.Helper()
	next := make(map[[2]string]int)
	r := &Run{Scenarios: scenarios, Repeat: repeat, Command: "compare", Progress: io.Discard}
	r.measure = func(_ context.Context, s Scenario, entrant string, _ Settings) ([]benchfmt.Value, error) {
		k := [2]string{s.Name, entrant}
		rate := script[k][next[k]]
		next[k]++
		if rate < 0 {
			return nil, errors.New("the server broke | down")
		}
		return []benchfmt.Value{{Value: rate, Unit: string(Messages)}}, nil
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

	require.Equal(t, Spread{20, 10, 30, 2}, o.Figure(scenarioA, Ours, Messages))
	require.Equal(t, Spread{1.25, 1, 1.5, 2}, o.Ratio(scenarioA, Ours, Messages))
	require.Equal(t, Spread{20, 10, 20, 3}, o.Figure(scenarioA, Std, Messages))
	require.Zero(t, o.Ratio(scenarioA, Std, Messages), "the base has no ratio to itself")
	require.Zero(t, o.Figure(scenarioB, Ours, Messages))
	require.Equal(t, 3, o.Figure(scenarioB, Std, Messages).Runs)

	var file strings.Builder
	require.NoError(t, o.Write(&file))
	again, err := Read(strings.NewReader(file.String()), "file")
	require.NoError(t, err)
	var same strings.Builder
	require.NoError(t, again.Write(&same))
	require.Equal(t, file.String(), same.String())
	require.Equal(t, o.Tables(Bars()), again.Tables(Bars()))
}

func TestRunTakesTurnsInWhoIsFirst(t *testing.T) {
	o := rates{{a, Ours}: {1, 1}, {a, Std}: {1, 1}}.run(t, 2, with(scenarioA, Ours, Std))
	var order []string
	for _, trial := range o {
		order = append(order, path.Base(trial.Name.String()))
	}
	require.Equal(t, []string{"server=chanio", "server=std", "server=std", "server=chanio"}, order)
}

func TestEnoughRepetitionsAreNotRepeated(t *testing.T) {
	s := with(scenarioA, Std)
	s.Config.Job = "idle"
	require.Equal(t, idleRepeats, rates{{a, Std}: {1, 1}}.run(t, 3, s).Figure(scenarioA, Std, Messages).Runs)
}

func TestRunStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	var progress strings.Builder
	r := &Run{Scenarios: []Scenario{with(scenarioA, Std)}, Repeat: 5, Progress: &progress}
	r.measure = func(context.Context, Scenario, string, Settings) ([]benchfmt.Value, error) {
		if ran++; ran == 2 {
			cancel()
		}
		return []benchfmt.Value{{Value: 1, Unit: string(Messages)}}, ctx.Err()
	}
	o := r.Do(ctx)
	require.Equal(t, 2, ran)
	require.Equal(t, 1, o.Figure(scenarioA, Std, Messages).Runs, "what was measured counts")
	require.Contains(t, progress.String(), "2/5, ")
	require.Contains(t, progress.String(), " left: tcp-echo-1x1, std, repetition 2 of 5\n")
}

func TestBarsAreJudgedByTheMedianOfRatios(t *testing.T) {
	o := rates{
		{a, Ours}: {8, 10, 30}, {a, Std}: {10, 10, 10}, {a, Netpoll}: {-1, 20, 5}, {a, Loop}: {-1, -1, -1},
		{b, Ours}: {4, 4, 4},
	}.run(t, 3, with(scenarioA, Ours, Std, Netpoll, Loop), with(scenarioB, Ours))
	for _, c := range []struct {
		name, bar string
		want      []string // what it got, and the verdict
	}{
		{"reached exactly", "tcp-echo-1x1 chanio messages/s >= 1 of std", []string{"1.00 (0.80 to 3.00)", "yes"}},
		{"missed", "tcp-echo-1x1 chanio messages/s >= 1.1 of std", []string{"1.00 (0.80 to 3.00)", "**no**"}},
		{"the harder one too", "tcp-echo-1x1 chanio messages/s >= 0.5 try 0.9 of std", []string{"1.00 (0.80 to 3.00)", "yes, the harder one too"}},
		{"not the harder one", "tcp-echo-1x1 chanio messages/s >= 0.5 try 2 of std", []string{"1.00 (0.80 to 3.00)", "yes"}},
		{"an upper bound", "tcp-echo-1x1 chanio messages/s <= 12000", []string{"10 (8 to 30)", "yes"}},
		{"an upper bound missed", "tcp-echo-1x1 chanio messages/s <= 9", []string{"10 (8 to 30)", "**no**"}},
		{"another scenario", "tcp-echo-10x1 chanio messages/s >= 0.4 of tcp-echo-1x1", []string{"0.40 (0.13 to 0.50)", "yes"}},
		{"the best of others", "tcp-echo-1x1 chanio messages/s >= 1 of std netpoll loop", []string{"0.80 (0.50 to 3.00)", "**no**"}},
		{"the least of others", "tcp-echo-1x1 chanio messages/s <= 1 of std netpoll loop", []string{"1.00 (0.80 to 6.00)", "yes"}},
		{"nothing measured", "tcp-echo-1x1 loop messages/s >= 0", []string{"", "not measured"}},
		{"for the record", "tcp-echo-1x1 chanio messages/s any", []string{"10 (8 to 30)", "for the record"}},
		{"for the record, of the least", "tcp-echo-1x1 chanio messages/s less of std netpoll", []string{"1.00 (0.80 to 6.00)", "for the record"}},
		{"not run", "nowhere chanio messages/s >= 1 of std", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := barOf(strings.Fields(c.bar)).row(o)
			if row != nil {
				row = row[1:]
			}
			require.Equal(t, c.want, row)
		})
	}
}

func TestOutcomeIsWrittenWholeHoweverMuchFailed(t *testing.T) {
	multicast := Scenario{Name: "ws-multicast-1", Entrants: []string{"gws", "gorilla"}, Base: "gorilla"}
	o := rates{
		{a, Ours}: {2e6, 4e6}, {a, Std}: {1e6, 1e6},
		{b, Ours}:                 {-1, -1},
		{"ws-multicast-1", "gws"}: {6, 6}, {"ws-multicast-1", "gorilla"}: {2, 2},
	}.run(t, 2, with(scenarioA, Ours, Std), with(scenarioB, Ours), multicast)

	text := o.Tables([]Bar{barOf(strings.Fields(a + " chanio messages/s >= 2.5 of std")), barOf(strings.Fields(b + " chanio messages/s >= 1"))})
	for _, row := range []string{
		"| tcp-echo-1x1 | chanio | 3.00 (2.00 to 4.00) | 3 M (2 M to 4 M) |",
		"| tcp-echo-1x1 | std | base | 1 M (1 M to 1 M) |",
		"| ws-multicast-1 | gws | 3.00 (3.00 to 3.00) | 6 (6 to 6) |", // a scenario has a base of its own
		"| /tcp-echo-10x1/server=chanio | the server broke / down |",
		"| tcp-echo-1x1 chanio messages/s >= 2.5 of std | 3.00 (2.00 to 4.00) | yes |",
		"| tcp-echo-10x1 chanio messages/s >= 1 |  | not measured |",
	} {
		require.Contains(t, text, row)
	}
}

func TestSpreadIsOfTheRepetitionsThatSucceeded(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		values []float64
		want   Spread
	}{
		{"nothing", nil, Spread{}},
		{"all failed", []float64{nan, nan}, Spread{}},
		{"one", []float64{3}, Spread{3, 3, 3, 1}},
		{"odd", []float64{5, 1, 3}, Spread{3, 1, 5, 3}},
		{"even", []float64{4, 1, 3, 2}, Spread{2.5, 1, 4, 4}},
		{"one failed", []float64{9, nan, 7, 8}, Spread{8, 7, 9, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, spread(c.values))
		})
	}
}

func TestSpreadLeavesTheRepetitionsInOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	spread(values)
	require.Equal(t, []float64{3, 1, 2}, values)
}

func TestRatiosPairRepetitions(t *testing.T) {
	got := ratios([]float64{2, 9, math.NaN(), 4, 5}, []float64{4, 3, 1, 0})
	require.Len(t, got, 4)
	require.Equal(t, []float64{0.5, 3}, got[:2])
	require.True(t, math.IsNaN(got[2]), "a trial that failed has no ratio")
	require.True(t, math.IsNaN(got[3]), "nothing is a multiple of zero")
}
