package compare

import (
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// An Outcome is everything that a run has measured.
type Outcome struct {
	About  map[string]string // how, when and where, by key
	Trials []Trial           // in the order in which they ran
}

// failureKey is the key of a trial's error, in a file.
const failureKey = "failure"

// Expand replaces ${key} in text with what o is about.
func (o *Outcome) Expand(text string) string {
	return os.Expand(text, func(key string) string { return o.About[key] })
}

// A Trial is what one entrant reached in one scenario, once.
type Trial struct {
	Scenario, Entrant string
	Figures           Figures
	Err               string // why it failed; "" if it did not
}

// values returns a figure by repetition: NaN where the trial failed or has no
// such figure.
func (o *Outcome) values(f Figure) []float64 {
	var values []float64
	for _, t := range o.Trials {
		if t.Scenario != f.Scenario || t.Entrant != f.Entrant {
			continue
		}
		v, ok := t.Figures[f.Metric]
		if !ok || t.Err != "" {
			v = math.NaN()
		}
		values = append(values, v)
	}
	return values
}

// Figure returns a figure of an entrant in a scenario. If it was not measured,
// it has no repetitions.
func (o *Outcome) Figure(scenario, entrant string, m Metric) Spread {
	return spread(o.values(Figure{scenario, entrant, m}))
}

// Ratio returns the spread of the figure's ratio to the base of the same
// repetition.
func (o *Outcome) Ratio(scenario Scenario, entrant string, m Metric) Spread {
	q := spread(ratios(o.values(Figure{scenario.Name, entrant, m}), o.values(Figure{scenario.Name, scenario.Base, m})))
	if entrant == scenario.Base || math.IsInf(q.Max, 0) {
		return Spread{}
	}
	return q
}

// nameFormat is the name of a trial in Go's benchmark format.
const nameFormat = "/%s/server=%s"

// Write writes o in Go's benchmark format, for Read and benchstat.
func (o *Outcome) Write(w io.Writer) error {
	out := benchfmt.NewWriter(w)
	for _, t := range o.Trials {
		r := &benchfmt.Result{Name: fmt.Appendf(nil, nameFormat, t.Scenario, t.Entrant), Iters: 1}
		for _, k := range slices.Sorted(maps.Keys(o.About)) {
			r.Config = append(r.Config, benchfmt.Config{Key: k, Value: []byte(o.About[k]), File: true})
		}
		for _, m := range slices.Sorted(maps.Keys(t.Figures)) {
			r.Values = append(r.Values, benchfmt.Value{Value: t.Figures[m], Unit: string(m)})
		}
		if t.Err != "" {
			r.Config = append(r.Config, benchfmt.Config{Key: failureKey, Value: []byte(strings.ReplaceAll(t.Err, "\n", " ")), File: true})
			r.Values = []benchfmt.Value{{Value: 1, Unit: failureKey}}
		}
		if err := out.Write(r); err != nil {
			return err
		}
	}
	return nil
}

// Read returns what Write has written. The file's name is for errors.
func Read(r io.Reader, file string) (*Outcome, error) {
	o := &Outcome{About: make(map[string]string)}
	in := benchfmt.NewReader(r, file)
	for in.Scan() {
		switch r := in.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, r
		case *benchfmt.Result:
			scenario, entrant, ok := strings.Cut(strings.TrimPrefix(r.Name.String(), "/"), "/server=")
			if !ok {
				return nil, fmt.Errorf("%s: %q is not a trial of a server", file, r.Name)
			}
			t := Trial{Scenario: scenario, Entrant: entrant, Figures: make(Figures)}
			for _, v := range r.Values {
				t.Figures[Metric(v.Unit)] = v.Value
			}
			if _, failed := r.Value(failureKey); failed {
				t.Figures, t.Err = nil, r.GetConfig(failureKey)
			}
			for _, c := range r.Config {
				if c.Key != failureKey {
					o.About[c.Key] = string(c.Value)
				}
			}
			o.Trials = append(o.Trials, t)
		}
	}
	return o, in.Err()
}
