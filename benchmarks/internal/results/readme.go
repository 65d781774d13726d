package results

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"example.com/chanio/benchmarks/internal/compare"
	"example.com/chanio/benchmarks/internal/picture"
)

// The marks around the section of a README that this program writes.
const (
	begin = "<!-- Measurements: begin -->"
	end   = "<!-- Measurements: end -->"
)

// WriteReadme writes a summary of o, with the pictures of dir, into the marked
// section of a README.
func WriteReadme(readme, dir string, o *compare.Outcome) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	section, err := section(readme, dir, o)
	if err != nil {
		return err
	}
	if text, err = replaced(text, section); err != nil {
		return fmt.Errorf("%s: %w", readme, err)
	}
	return os.WriteFile(readme, text, 0o644)
}

func section(readme, dir string, o *compare.Outcome) ([]byte, error) {
	from, err := filepath.Abs(filepath.Dir(readme))
	if err != nil {
		return nil, err
	}
	to, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	link, err := filepath.Rel(from, to)
	if err != nil {
		return nil, err
	}
	link = filepath.ToSlash(link) + "/"
	if link == "./" {
		link = ""
	}
	var b bytes.Buffer
	if err := o.WriteSummary(&b); err != nil {
		return nil, err
	}
	if err := writePictures(&b, link, picture.Of(o)); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "\n[All figures of that run](%s%s). This makes them again, and this section:\n\n```sh\ncd benchmarks && %s\n```\n\n", link, tables, o.Command)
	return b.Bytes(), nil
}

// replaced returns text with the section between the marks replaced.
func replaced(text, section []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, fmt.Errorf("there is no section from %s to %s", begin, end)
	}
	return bytes.Join([][]byte{before, []byte(begin), []byte("\n"), section, []byte(end), after}, nil), nil
}
