package compare

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
)

// A Run is a comparison: its scenarios, repeated.
type Run struct {
	Settings
	Scenarios []Scenario
	Repeat    int
	Command   string    // that repeats the run
	Progress  io.Writer // says which trial is running and how long the rest will take

	// measure runs one trial; tests replace it.
	measure func(ctx context.Context, s Scenario, entrant string, set Settings) ([]benchfmt.Value, error)
}

// A step is one trial of a run.
type step struct {
	scenario   Scenario
	entrant    string
	repetition int // from 1
}

// idleRepeats are enough for memory, which takes long to measure and does not
// depend on what else runs.
const idleRepeats = 2

// plan returns all trials in order: repetition by repetition, so that a machine
// that changes over time changes for all, and each time with a different entrant
// first.
func (r *Run) plan() []step {
	var steps []step
	for n := range r.Repeat {
		for _, s := range r.Scenarios {
			if s.Config.Job == "idle" && n >= idleRepeats {
				continue
			}
			for i := range s.Entrants {
				steps = append(steps, step{s, s.Entrants[(i+n)%len(s.Entrants)], n + 1})
			}
		}
	}
	return steps
}

// Do runs everything, one trial at a time, and returns what it has measured. A
// failed trial does not end the run. Do stops early only when ctx ends.
func (r *Run) Do(ctx context.Context) Outcome {
	run := r.measure
	if run == nil {
		run = measure
	}
	var o Outcome
	steps, about, began := r.plan(), r.about(), time.Now()
	for i, s := range steps {
		mean := r.Warmup + r.Length + time.Second // until it is known
		if i > 0 {
			mean = time.Since(began) / time.Duration(i)
		}
		name := s.scenario.Name
		fmt.Fprintf(r.Progress, "%d/%d, %v left: %s, %s, repetition %d of %d\n", i+1, len(steps),
			(mean * time.Duration(len(steps)-i)).Round(time.Second), name, s.entrant, s.repetition, r.Repeat)
		figures, err := run(ctx, s.scenario, s.entrant, r.Settings)
		if ctx.Err() != nil {
			return o // it was interrupted and has not failed
		}
		t := &benchfmt.Result{Name: benchfmt.Name(trialName(name, s.entrant)), Iters: 1, Config: about, Values: figures}
		if err != nil {
			why := strings.ReplaceAll(err.Error(), "\n", " ")
			t.Config = append(slices.Clip(about), benchfmt.Config{Key: failure, Value: []byte(why), File: true})
			t.Values = []benchfmt.Value{{Value: 1, Unit: failure}}
			fmt.Fprintf(r.Progress, "%s, %s failed: %v\n", name, s.entrant, err)
		}
		o = append(o, t)
	}
	fmt.Fprintf(r.Progress, "%d trials in %v\n", len(steps), time.Since(began).Round(time.Second))
	return o
}

// about describes the run and the machine, as far as the system reports it.
func (r *Run) about() (about []benchfmt.Config) {
	for _, a := range [][2]string{
		{"command", r.Command},
		{"cpu", processor()},
		{"cpus", strconv.Itoa(runtime.NumCPU())},
		{"date", time.Now().UTC().Format(time.DateOnly)},
		{"go", runtime.Version()},
		{"kernel", firstFields("/proc/sys/kernel/osrelease", 1)},
		{"length", r.Length.String()},
		{"load-average", firstFields("/proc/loadavg", 3)}, // before the run
		{"repetitions", strconv.Itoa(r.Repeat)},
		{"system", runtime.GOOS + "/" + runtime.GOARCH},
	} {
		about = append(about, benchfmt.Config{Key: a[0], Value: []byte(a[1]), File: true})
	}
	return about
}

// processor returns the CPU's name if Linux reports it.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(info) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return runtime.GOARCH
}

// firstFields returns the first n words of a file, or "unknown".
func firstFields(file string, n int) string {
	text, _ := os.ReadFile(file)
	fields := bytes.Fields(text)
	if len(fields) < n {
		return "unknown"
	}
	return string(bytes.Join(fields[:n], []byte(" ")))
}
