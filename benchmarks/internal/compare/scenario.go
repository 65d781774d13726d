// Package compare runs the whole matrix of benchmarks, interleaved and repeated,
// and judges the outcome by the project's own bars.
package compare

import (
	"context"
	"time"
)

// A Scenario is one job for several entrants.
type Scenario struct {
	Name     string
	Title    string // human-readable
	Base     string // the entrant that the others are compared with
	Entrants []Entrant

	// Most bounds the repetitions, for figures that hardly vary and take long to
	// measure. If zero, as many as the run has.
	Most int
}

// An Entrant does a scenario's job in one way.
type Entrant struct {
	Name string
	run  func(ctx context.Context, s Settings) (Sample, error)
}

// Settings are common to all trials of a run.
type Settings struct {
	Warmup time.Duration `json:"warmup_ns"`
	Length time.Duration `json:"length_ns"` // of one measurement
	CPU    int           `json:"cpu"`       // where pinned scenarios run
}
