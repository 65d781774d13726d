package compare

import (
	"context"
	"math"
	"regexp"
	"slices"
)

// A Run is a comparison: its scenarios, repeated.
type Run struct {
	Settings
	Scenarios []Scenario
	Repeat    int
	Progress  *Progress

	trials map[string][]trialResult // of an entrant of a scenario, by repetition
}

type trialResult struct {
	sample Sample
	err    error
}

// Select returns the scenarios whose name matches.
func Select(all []Scenario, match *regexp.Regexp) []Scenario {
	return slices.DeleteFunc(slices.Clone(all), func(s Scenario) bool { return !match.MatchString(s.Name) })
}

// Do runs everything, one trial at a time, repetition after repetition, so that
// a machine that changes with time changes for all. The order of the entrants
// changes with each repetition. A trial that fails ends nothing but itself. Do
// stops early only for the end of ctx.
func (r *Run) Do(ctx context.Context) {
	r.trials = make(map[string][]trialResult)
	r.Progress.begin(r.count() * r.Repeat)
	for n := range r.Repeat {
		for _, s := range r.Scenarios {
			for i := range s.Entrants {
				e := s.Entrants[(i+n)%len(s.Entrants)]
				if ctx.Err() != nil {
					return
				}
				r.Progress.next(s.Name, e.Name, n+1, r.Repeat)
				sample, err := e.run(ctx, r.Settings)
				if err != nil && ctx.Err() == nil {
					r.Progress.failed(s.Name, e.Name, err)
				}
				r.trials[key(s.Name, e.Name)] = append(r.trials[key(s.Name, e.Name)], trialResult{sample, err})
			}
		}
	}
	r.Progress.end()
}

func (r *Run) count() int {
	n := 0
	for _, s := range r.Scenarios {
		n += len(s.Entrants)
	}
	return n
}

func key(scenario, entrant string) string { return scenario + "\x00" + entrant }

// values returns a figure of an entrant by repetition: not a number where the
// trial failed or has no such figure.
func (r *Run) values(scenario, entrant string, m Metric) []float64 {
	var values []float64
	for _, t := range r.trials[key(scenario, entrant)] {
		v, ok := t.sample[m]
		if !ok || t.err != nil {
			v = math.NaN()
		}
		values = append(values, v)
	}
	return values
}
