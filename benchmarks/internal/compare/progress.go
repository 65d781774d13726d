package compare

import (
	"fmt"
	"io"
	"time"
)

// Progress prints which trial is running and how long the rest will take.
type Progress struct {
	W io.Writer
	// Line keeps it on one line that is overwritten, for a terminal.
	Line bool

	steps []step
	done  int // steps that have begun
	began time.Time

	measuring time.Duration            // the estimate for a trial that has not run yet
	took      map[string]time.Duration // by entrant of a scenario
	current   time.Time                // when the current step began
}

func (p *Progress) begin(steps []step, measuring time.Duration) {
	p.steps, p.done, p.began, p.measuring = steps, 0, time.Now(), measuring
	p.took = make(map[string]time.Duration)
}

// next is called before each trial.
func (p *Progress) next(repetitions int) {
	p.ended()
	s := p.steps[p.done]
	p.write(fmt.Sprintf("%d/%d, %v left: %s, %s, repetition %d of %d",
		p.done+1, len(p.steps), p.left().Round(time.Second), s.scenario, s.entrant.Name, s.repetition, repetitions))
	p.done++
	p.current = time.Now()
}

// ended records how long the current step, if any, has taken.
func (p *Progress) ended() {
	if p.done > 0 {
		s := p.steps[p.done-1]
		p.took[key(s.scenario, s.entrant.Name)] = time.Since(p.current)
	}
}

// starting is the estimated time of a trial in addition to the measuring, until
// it is known.
const starting = 500 * time.Millisecond

// left estimates how long the steps that have not begun will take: as long as
// the last time or, if unknown, as long as the mean of the known steps.
func (p *Progress) left() time.Duration {
	mean := p.measuring + starting
	if p.done > 0 {
		mean = time.Since(p.began) / time.Duration(p.done)
	}
	var sum time.Duration
	for _, s := range p.steps[p.done:] {
		if d, known := p.took[key(s.scenario, s.entrant.Name)]; known {
			sum += d
			continue
		}
		sum += mean
	}
	return sum
}

func (p *Progress) failed(s step, err error) {
	p.write(fmt.Sprintf("%s, %s failed: %v", s.scenario, s.entrant.Name, err))
	if p.Line {
		fmt.Fprintln(p.W) // keep the failure on the screen
	}
}

func (p *Progress) end() {
	p.write(fmt.Sprintf("%d trials in %v", p.done, time.Since(p.began).Round(time.Second)))
	if p.Line {
		fmt.Fprintln(p.W)
	}
}

func (p *Progress) write(s string) {
	if p.Line {
		fmt.Fprintf(p.W, "\r\x1b[K%s", s)
		return
	}
	fmt.Fprintln(p.W, s)
}
