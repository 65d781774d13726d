// Package compare runs the whole matrix of benchmarks, interleaved and
// repeated, and judges the outcome by the bars that the project has set itself.
package compare

import (
	"context"
	"time"
)

// A Scenario is one job that several entrants do.
type Scenario struct {
	Name     string
	Title    string // what it is, for people
	Base     string // the entrant that the others are compared with
	Entrants []Entrant

	// Most is how many repetitions are enough, for figures that hardly differ
	// and take long. If zero, as many as the run has.
	Most int
}

// An Entrant does a scenario's job in one way.
type Entrant struct {
	Name string
	run  func(ctx context.Context, s Settings) (Sample, error)
}

// Settings are what all trials of a run have in common.
type Settings struct {
	Warmup time.Duration `json:"warmup_ns"`
	Length time.Duration `json:"length_ns"` // of one measurement
	CPU    int           `json:"cpu"`       // where pinned scenarios run
}
