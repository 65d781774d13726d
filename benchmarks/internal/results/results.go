// Package results stores the results of a comparison: all figures and pictures
// in a directory, and the most important ones in a README.
package results

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"example.com/chanio/benchmarks/internal/compare"
)

// The files in a directory of results, besides the pictures.
const (
	figuresFile = "results.txt" // in Go's benchmark format
	tablesFile  = "README.md"
)

// The marks around the section of a README that this program writes.
const (
	begin = "<!-- Measurements: begin -->"
	end   = "<!-- Measurements: end -->"
)

// Read returns the outcome that Write has written to dir.
func Read(dir string) (compare.Outcome, error) {
	f, err := os.Open(filepath.Join(dir, figuresFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return compare.Read(f, f.Name())
}

// Write writes o to dir, creating it if necessary: the figures, all tables as
// Markdown, and the pictures.
func Write(dir string, o compare.Outcome) error {
	var figures bytes.Buffer
	if err := errors.Join(os.MkdirAll(dir, 0o755), o.Write(&figures)); err != nil {
		return err
	}
	text := o.Expand("# Results\n\nThis page and its pictures are made by `${command}`, in benchmarks/.\n") +
		showPictures("", o) + "\n## Figures\n\n" + o.Tables(compare.Bars())
	files := map[string]string{figuresFile: figures.String(), tablesFile: text}
	for _, p := range pictures {
		if svg := p.svg(o); svg != "" {
			files[p.name+".svg"] = svg
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// showPictures returns the Markdown that shows the pictures of o, which are below
// link.
func showPictures(link string, o compare.Outcome) string {
	var text strings.Builder
	for _, p := range pictures {
		if p.svg(o) != "" {
			fmt.Fprintf(&text, "\n![%s](%s%s.svg)\n", p.alt(o), link, p.name)
		}
	}
	return text.String()
}

// WriteReadme writes a summary of o, with the pictures of dir, into the marked
// section of a README.
func WriteReadme(readme, dir string, o compare.Outcome) error {
	old, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: there is no section from %s to %s", readme, begin, end)
	}
	link, err := relative(readme, dir)
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString(o.Expand("Measured on ${date}, server and load together on ${cpus} cores (${cpu}; Linux ${kernel}, ${go}; load average before the run ${load-average}): " +
		"medians of ${repetitions} runs of ${length}, interleaved. Messages have 32 bytes. " +
		"A scenario's name has its transport, its job, and its clients x their messages in flight. " +
		"`std` is package net, with a goroutine per connection and, for multicast, a channel per member; `coalesced` also gathers what it writes, " +
		"`loop` writes to one connection after another, and `limit` is what the machine can do.\n"))
	for _, t := range tables {
		text.WriteString(t.of(o))
	}
	text.WriteString(showPictures(link, o) + fmt.Sprintf("\n[All figures of that run](%s%s). ", link, tablesFile) +
		o.Expand("This makes them again, and this section:\n\n```sh\ncd benchmarks && ${command}\n```\n\n"))
	return os.WriteFile(readme, []byte(before+begin+"\n"+text.String()+end+after), 0o644)
}

// relative returns how a README links to the files of dir.
func relative(readme, dir string) (string, error) {
	from, err1 := filepath.Abs(filepath.Dir(readme))
	to, err2 := filepath.Abs(dir)
	link, err3 := filepath.Rel(from, to)
	return filepath.ToSlash(link) + "/", errors.Join(err1, err2, err3)
}
