package compare

import "fmt"

// A Figure is a metric of one entrant of one scenario.
type Figure struct {
	Scenario string `json:"scenario"`
	Entrant  string `json:"entrant"`
	Metric   Metric `json:"metric"`
}

// A Bar is what the median of a figure, or of its ratio to another figure of the
// same repetition, must reach.
type Bar struct {
	Figure Figure
	To     Figure // the divisor of Figure; if zero, Figure counts by itself
	AtMost bool   // Want is an upper bound, not a lower one
	Want   float64
	Try    float64 // a harder bar; 0 for none
	Stated bool    // the figure is reported and not judged
}

// A Verdict is the result of a bar.
type Verdict struct {
	Stated bool    `json:"stated,omitempty"` // reported and not judged
	Figure Figure  `json:"figure"`
	To     *Figure `json:"to,omitempty"`
	Want   string  `json:"want"`
	Got    Spread  `json:"got"`
	Holds  bool    `json:"holds"` // in the median
	Tried  bool    `json:"tried"` // the harder bar holds too
}

// judge returns the verdict on b, or false if the run has not measured it.
func (r *Run) judge(b Bar) (Verdict, bool) {
	got := r.values(b.Figure.Scenario, b.Figure.Entrant, b.Figure.Metric)
	v := Verdict{Figure: b.Figure, Stated: b.Stated, Want: b.want()}
	if b.To != (Figure{}) {
		v.To = &b.To
		got = ratios(got, r.values(b.To.Scenario, b.To.Entrant, b.To.Metric))
	}
	if len(got) == 0 {
		return v, false
	}
	v.Got = spread(got)
	v.Holds = !b.Stated && v.Got.Runs > 0 && b.reached(v.Got.Median, b.Want)
	v.Tried = v.Holds && b.Try != 0 && b.reached(v.Got.Median, b.Try)
	return v, true
}

func (b Bar) reached(got, want float64) bool {
	if b.AtMost {
		return got <= want
	}
	return got >= want
}

func (b Bar) want() string {
	if b.Stated {
		return ""
	}
	relation := ">="
	if b.AtMost {
		relation = "<="
	}
	s := relation + " " + number(b.Want)
	if b.Try != 0 {
		s += fmt.Sprintf(" (try %s)", number(b.Try))
	}
	return s
}
