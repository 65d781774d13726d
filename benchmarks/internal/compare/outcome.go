package compare

import (
	"math"
	"slices"
	"time"
)

// An Outcome is everything that a run has measured.
type Outcome struct {
	Began    time.Time `json:"began"`
	Command  string    `json:"command"` // repeats the run, in benchmarks/
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
	Repeat   int       `json:"repeat"`
	Results  []Result  `json:"results"`
	Verdicts []Verdict `json:"verdicts"`
}

// A Result is what one entrant reached in one scenario.
type Result struct {
	Scenario string            `json:"scenario"`
	Title    string            `json:"title"` // of the scenario, human-readable
	Entrant  string            `json:"entrant"`
	Base     string            `json:"base"` // the entrant that is the base of Ratios
	Figures  map[Metric]Spread `json:"figures"`
	Ratios   map[Metric]Spread `json:"ratios,omitempty"`   // to the base of the same repetition
	Failures map[string]int    `json:"failures,omitempty"` // how often trials failed, by reason
}

// Outcome returns what r has measured so far, judged by bars.
func (r *Run) Outcome(bars []Bar) *Outcome {
	o := &Outcome{Began: r.began, Machine: r.machine, Settings: r.Settings, Repeat: r.Repeat}
	for _, s := range r.Scenarios {
		for _, e := range s.Entrants {
			o.Results = append(o.Results, r.result(s, e.Name))
		}
	}
	for _, b := range bars {
		if v, ok := r.judge(b); ok {
			o.Verdicts = append(o.Verdicts, v)
		}
	}
	return o
}

func (r *Run) result(s Scenario, entrant string) Result {
	res := Result{Scenario: s.Name, Title: s.Title, Entrant: entrant, Base: s.Base, Figures: make(map[Metric]Spread)}
	for _, t := range r.trials[key(s.Name, entrant)] {
		if t.err != nil {
			if res.Failures == nil {
				res.Failures = make(map[string]int)
			}
			res.Failures[t.err.Error()]++
		}
	}
	for _, m := range r.metrics(s.Name, entrant) {
		values := r.values(s.Name, entrant, m)
		res.Figures[m] = spread(values)
		if entrant == s.Base {
			continue
		}
		if q := spread(ratios(values, r.values(s.Name, s.Base, m))); q.Runs > 0 && !math.IsInf(q.Max, 0) {
			if res.Ratios == nil {
				res.Ratios = make(map[Metric]Spread)
			}
			res.Ratios[m] = q
		}
	}
	return res
}

// Result returns what an entrant reached in a scenario, or false if they were
// not part of the run.
func (o *Outcome) Result(scenario, entrant string) (Result, bool) {
	for _, r := range o.Results {
		if r.Scenario == scenario && r.Entrant == entrant {
			return r, true
		}
	}
	return Result{}, false
}

// Figure returns a figure of an entrant in a scenario. If it was not measured,
// it has no repetitions.
func (o *Outcome) Figure(scenario, entrant string, m Metric) Spread {
	r, _ := o.Result(scenario, entrant)
	return r.Figures[m]
}

// metrics returns the metrics that any trial of an entrant has.
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
