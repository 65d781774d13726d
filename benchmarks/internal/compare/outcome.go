package compare

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// An Outcome has the results of a run's trials, in the order in which they ran.
// Their configuration says how, when and where, and why a trial failed.
type Outcome []*benchfmt.Result

// failure is the key of a trial's error, and its only figure.
const failure = "failure"

// trialName returns the name of a trial in Go's benchmark format.
func trialName(scenario, entrant string) string {
	return fmt.Sprintf("/%s/server=%s", scenario, entrant)
}

// Expand replaces ${key} in text with the value of the configuration.
func (o Outcome) Expand(text string) string {
	return os.Expand(text, func(key string) string {
		if len(o) == 0 {
			return "nothing"
		}
		return o[0].GetConfig(key)
	})
}

// values returns a figure by repetition: NaN where the trial failed or has no
// such figure.
func (o Outcome) values(f Figure) []float64 {
	var values []float64
	name := trialName(f.Scenario, f.Entrant)
	for _, t := range o {
		if string(t.Name) == name {
			v, ok := t.Value(string(f.Metric))
			if !ok {
				v = math.NaN()
			}
			values = append(values, v)
		}
	}
	return values
}

// Figure returns a figure of an entrant in a scenario. If it was not measured,
// it has no repetitions.
func (o Outcome) Figure(s Scenario, entrant string, m Metric) Spread {
	return spread(o.values(Figure{s.Name, entrant, m}))
}

// Ratio returns the spread of the figure's ratio to the base of the same
// repetition.
func (o Outcome) Ratio(s Scenario, entrant string, m Metric) Spread {
	q := spread(ratios(o.values(Figure{s.Name, entrant, m}), o.values(Figure{s.Name, s.Base, m})))
	if entrant == s.Base || math.IsInf(q.Max, 0) {
		return Spread{}
	}
	return q
}

// Write writes o in Go's benchmark format, for Read and benchstat.
func (o Outcome) Write(w io.Writer) error {
	out := benchfmt.NewWriter(w)
	for _, t := range o {
		if err := out.Write(t); err != nil {
			return err
		}
	}
	return nil
}

// Read returns what Write has written. The file's name is for errors.
func Read(r io.Reader, file string) (o Outcome, err error) {
	in := benchfmt.NewReader(r, file)
	for in.Scan() {
		switch r := in.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, r
		case *benchfmt.Result:
			if !strings.Contains(r.Name.String(), "/server=") {
				return nil, fmt.Errorf("%s: %q is not a trial of a server", file, r.Name)
			}
			o = append(o, r.Clone())
		}
	}
	return o, in.Err()
}

// A Spread summarizes a figure over the repetitions of a run.
type Spread struct {
	Median, Min, Max float64
	Runs             int
}

// spread returns the spread of values. NaNs, of failed repetitions, do not
// count.
func spread(values []float64) Spread {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return Spread{}
	}
	s := benchmath.NewSample(v, &benchmath.DefaultThresholds)
	median := benchmath.AssumeNothing.Summary(s, 0.95).Center
	return Spread{Median: median, Min: slices.Min(v), Max: slices.Max(v), Runs: len(v)}
}

// Middle returns the median as format formats it, or nothing if nothing was
// measured.
func (s Spread) Middle(format func(float64) string) string {
	if s.Runs == 0 {
		return ""
	}
	return format(s.Median)
}

// Whole returns the median with the minimum and the maximum.
func (s Spread) Whole(format func(float64) string) string {
	if s.Runs < 2 {
		return s.Middle(format)
	}
	return fmt.Sprintf("%s (%s to %s)", format(s.Median), format(s.Min), format(s.Max))
}

// Quotient formats a ratio.
func Quotient(q float64) string { return fmt.Sprintf("%.2f", q) }

// ratios divides the figures of two entrants repetition by repetition: whatever
// disturbed the machine during one repetition disturbed both. If either failed,
// the ratio is NaN.
func ratios(values, base []float64) []float64 {
	r := make([]float64, min(len(values), len(base)))
	for i := range r {
		r[i] = math.NaN()
		if base[i] != 0 {
			r[i] = values[i] / base[i]
		}
	}
	return r
}
