package compare

import (
	"context"
	"math"
	"regexp"
	"slices"
	"time"
)

// A Run is a comparison: its scenarios, repeated.
type Run struct {
	Settings
	Scenarios []Scenario
	Repeat    int
	Progress  *Progress

	began   time.Time
	machine Machine
	trials  map[string][]trialResult // per scenario and entrant, by repetition
}

type trialResult struct {
	sample Sample
	err    error
}

// Select returns the scenarios whose name matches.
func Select(all []Scenario, match *regexp.Regexp) []Scenario {
	return slices.DeleteFunc(slices.Clone(all), func(s Scenario) bool { return !match.MatchString(s.Name) })
}

// A step is one trial of a run.
type step struct {
	scenario   string
	entrant    Entrant
	repetition int // from 1
}

// plan returns all trials in order: repetition by repetition, so that a machine
// that changes over time changes for all, and each time with a different entrant
// first.
func (r *Run) plan() []step {
	var steps []step
	for n := range r.Repeat {
		for _, s := range r.Scenarios {
			if s.Most > 0 && n >= s.Most {
				continue
			}
			for i := range s.Entrants {
				steps = append(steps, step{s.Name, s.Entrants[(i+n)%len(s.Entrants)], n + 1})
			}
		}
	}
	return steps
}

// Do runs everything, one trial at a time. A failed trial does not end the run.
// Do stops early only when ctx ends.
func (r *Run) Do(ctx context.Context) {
	r.began, r.machine = time.Now(), thisMachine()
	r.trials = make(map[string][]trialResult)
	steps := r.plan()
	r.Progress.begin(steps, r.Warmup+r.Length)
	for _, s := range steps {
		if ctx.Err() != nil {
			return
		}
		r.Progress.next(r.Repeat)
		sample, err := s.entrant.run(ctx, r.Settings)
		if ctx.Err() != nil && err != nil {
			return // it was interrupted and has not failed
		}
		if err != nil {
			r.Progress.failed(s, err)
		}
		k := key(s.scenario, s.entrant.Name)
		r.trials[k] = append(r.trials[k], trialResult{sample, err})
	}
	r.Progress.end()
}

func key(scenario, entrant string) string { return scenario + "\x00" + entrant }

// values returns a figure of an entrant by repetition: NaN where the trial
// failed or has no such figure.
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
