package compare

import (
	"fmt"
	"io"
	"time"
)

// Progress tells a person which trial runs and how long the rest will take.
type Progress struct {
	W io.Writer
	// Line makes it one line that is written over and over, for a terminal.
	Line bool

	total, done int
	began       time.Time
}

func (p *Progress) begin(trials int) {
	p.total, p.done, p.began = trials, 0, time.Now()
}

// next is called before each trial.
func (p *Progress) next(scenario, entrant string, repetition, of int) {
	left := ""
	if p.done > 0 {
		each := time.Since(p.began) / time.Duration(p.done)
		left = fmt.Sprintf(", %v left", (each * time.Duration(p.total-p.done)).Round(time.Second))
	}
	p.done++
	p.write(fmt.Sprintf("%d/%d%s: %s, %s, repetition %d of %d", p.done, p.total, left, scenario, entrant, repetition, of))
}

func (p *Progress) failed(scenario, entrant string, err error) {
	p.write(fmt.Sprintf("%s, %s failed: %v", scenario, entrant, err))
	if p.Line {
		fmt.Fprintln(p.W) // the failure stays
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
