// Package results stores the results of a comparison: all figures and pictures
// in a directory, and the most important ones in a README.
package results

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"example.com/chanio/benchmarks/internal/compare"
	"example.com/chanio/benchmarks/internal/picture"
)

// The files in a directory of results, besides the pictures.
const (
	figures = "results.txt" // in Go's benchmark format
	tables  = "README.md"
)

// The marks around the section of a README that this program writes.
const (
	begin = "<!-- Measurements: begin -->"
	end   = "<!-- Measurements: end -->"
)

// Read returns the outcome that Write has written to dir.
func Read(dir string) (*compare.Outcome, error) {
	f, err := os.Open(filepath.Join(dir, figures))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return compare.Read(f, f.Name())
}

// Write writes o to dir, creating it if necessary: the figures, all tables as
// Markdown, and the pictures.
func Write(dir string, o *compare.Outcome) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range picture.Of(o) {
		if err := os.WriteFile(filepath.Join(dir, p.Name+".svg"), []byte(p.SVG), 0o644); err != nil {
			return err
		}
	}
	var all, text bytes.Buffer
	fmt.Fprintf(&text, "# Results\n\nThis page and its pictures are made by `%s`, in benchmarks/.\n", o.Command())
	writePictures(&text, "", o)
	fmt.Fprintf(&text, "\n## Figures\n\n")
	if err := errors.Join(o.WriteTables(&text, compare.Bars()), o.Write(&all)); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, tables), text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, figures), all.Bytes(), 0o644),
	)
}

// writePictures writes the Markdown that shows a directory's pictures. The
// directory is a relative path that ends in a slash, or empty.
func writePictures(w io.Writer, dir string, o *compare.Outcome) {
	for _, p := range picture.Of(o) {
		fmt.Fprintf(w, "\n![%s](%s%s.svg)\n", p.Alt, dir, p.Name)
	}
}

// WriteReadme writes a summary of o, with the pictures of dir, into the marked
// section of a README.
func WriteReadme(readme, dir string, o *compare.Outcome) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s: there is no section from %s to %s", readme, begin, end)
	}
	link, err := relative(readme, dir)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n", before, begin)
	if err := o.WriteSummary(&b); err != nil {
		return err
	}
	writePictures(&b, link, o)
	fmt.Fprintf(&b, "\n[All figures of that run](%s%s). This makes them again, and this section:\n\n```sh\ncd benchmarks && %s\n```\n\n%s%s",
		link, tables, o.Command(), end, after)
	return os.WriteFile(readme, b.Bytes(), 0o644)
}

// relative returns how a README links to the files of dir.
func relative(readme, dir string) (string, error) {
	from, err := filepath.Abs(filepath.Dir(readme))
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	link, err := filepath.Rel(from, to)
	if link == "." {
		return "", err
	}
	return filepath.ToSlash(link) + "/", err
}
