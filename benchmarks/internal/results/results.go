// Package results stores the results of a comparison: all figures and pictures
// in a directory, and the most important ones in a README.
package results

import (
	"bytes"
	"encoding/json"
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
	figures = "results.json"
	tables  = "README.md"
)

// Read returns the outcome that Write has written to dir.
func Read(dir string) (*compare.Outcome, error) {
	b, err := os.ReadFile(filepath.Join(dir, figures))
	if err != nil {
		return nil, err
	}
	o := new(compare.Outcome)
	if err := json.Unmarshal(b, o); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, figures), err)
	}
	return o, nil
}

// Write writes o to dir, creating it if necessary: the figures as JSON, all
// tables as Markdown, and each picture in each theme.
func Write(dir string, o *compare.Outcome) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	j, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	pictures := picture.Of(o)
	for _, p := range pictures {
		for _, t := range picture.Themes() {
			svg, err := p.SVG(t)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, file(p, t)), svg, 0o644); err != nil {
				return err
			}
		}
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Results\n\nThis page and its pictures are made by `%s`, in benchmarks/.\n", o.Command)
	if err := errors.Join(writePictures(&text, "", pictures), writeTables(&text, o)); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, tables), text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(dir, figures), append(j, '\n'), 0o644),
	)
}

func writeTables(w io.Writer, o *compare.Outcome) error {
	fmt.Fprintf(w, "\n## Figures\n\n")
	return o.WriteMarkdown(w)
}

func file(p picture.Picture, t picture.Theme) string { return p.Name + "-" + t.Name + ".svg" }

// writePictures writes the HTML that shows a directory's pictures in the theme
// of the reader's page. The directory is a relative path that ends in a slash,
// or empty.
func writePictures(w io.Writer, dir string, pictures []picture.Picture) error {
	light, dark := picture.Themes()[0], picture.Themes()[1]
	for _, p := range pictures {
		_, err := fmt.Fprintf(w, `
<picture>
  <source media="(prefers-color-scheme: dark)" srcset="%s%s">
  <img alt="%s" src="%s%s" width="100%%">
</picture>
`, dir, file(p, dark), p.Alt, dir, file(p, light))
		if err != nil {
			return err
		}
	}
	return nil
}
