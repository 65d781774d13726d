package compare

import (
	"math"
	"slices"
	"time"
)

// An Outcome is all that a run has measured.
type Outcome struct {
	Began    time.Time `json:"began"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
	Repeat   int       `json:"repeat"`
	Results  []Result  `json:"results"`
	Verdicts []Verdict `json:"verdicts"`
}

// A Result is what one entrant reached in one scenario.
type Result struct {
	Scenario string            `json:"scenario"`
	Entrant  string            `json:"entrant"`
	Base     string            `json:"base"` // the entrant that Ratios are to
	Figures  map[Metric]Spread `json:"figures"`
	Ratios   map[Metric]Spread `json:"ratios,omitempty"`   // to the base in the same repetition
	Failures map[string]int    `json:"failures,omitempty"` // how often a trial failed for what
}

// Outcome returns what r has measured so far, judged by bars.
func (r *Run) Outcome(began time.Time, bars []Bar) *Outcome {
	o := &Outcome{Began: began, Machine: thisMachine(), Settings: r.Settings, Repeat: r.Repeat}
	for _, s := range r.Scenarios {
		for _, e := range s.Entrants {
			o.Results = append(o.Results, r.result(s.Name, e.Name, s.Base))
		}
	}
	for _, b := range bars {
		if v, ok := r.judge(b); ok {
			o.Verdicts = append(o.Verdicts, v)
		}
	}
	return o
}

func (r *Run) result(scenario, entrant, base string) Result {
	res := Result{Scenario: scenario, Entrant: entrant, Base: base, Figures: make(map[Metric]Spread)}
	for _, t := range r.trials[key(scenario, entrant)] {
		if t.err != nil {
			if res.Failures == nil {
				res.Failures = make(map[string]int)
			}
			res.Failures[t.err.Error()]++
		}
	}
	for _, m := range r.metrics(scenario, entrant) {
		values := r.values(scenario, entrant, m)
		res.Figures[m] = spread(values)
		if entrant == base {
			continue
		}
		if q := spread(ratios(values, r.values(scenario, base, m))); q.Runs > 0 && !math.IsInf(q.Max, 0) {
			if res.Ratios == nil {
				res.Ratios = make(map[Metric]Spread)
			}
			res.Ratios[m] = q
		}
	}
	return res
}

// metrics returns the figures that any trial of an entrant has.
func (r *Run) metrics(scenario, entrant string) []Metric {
	var all []Metric
	for _, t := range r.trials[key(scenario, entrant)] {
		for m := range t.sample {
			if !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}
