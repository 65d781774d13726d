package results

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/compare"
)

// everything returns an outcome in which each entrant of each scenario has a
// figure for everything that pictures and tables show.
func everything(value float64) *compare.Outcome {
	o := &compare.Outcome{About: map[string]string{"date": "2001-09-09", "command": "go run . compare", "repetitions": "3"}}
	for _, s := range compare.Catalogue() {
		for _, e := range s.Entrants {
			f := make(compare.Figures)
			for _, m := range []compare.Metric{
				compare.Messages, compare.Data, compare.Cost, compare.Peak, compare.Lost,
				compare.P50, compare.P99, compare.P999, compare.Connected, compare.Echoed,
			} {
				f[m] = value
			}
			o.Trials = append(o.Trials, compare.Trial{Scenario: s.Name, Entrant: e, Figures: f})
		}
	}
	return o
}

// svgText returns the text of a file, which must be well-formed.
func svgText(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	var text strings.Builder
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text.String()
		}
		require.NoError(t, err, file)
		if chars, ok := token.(xml.CharData); ok {
			text.Write(chars)
		}
	}
}

func TestWriteLeavesFiguresTablesAndPictures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	o := everything(2)
	require.NoError(t, Write(dir, o))

	again, err := Read(dir)
	require.NoError(t, err)
	require.Equal(t, o, again)

	text, err := os.ReadFile(filepath.Join(dir, tables))
	require.NoError(t, err)
	for _, name := range []string{"throughput", "latency", "clients", "sizes"} {
		require.Contains(t, string(text), "("+name+".svg)")
		svg := filepath.Join(dir, name+".svg")
		require.Contains(t, svgText(t, svg), "chanio")
		info, err := os.Stat(svg)
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(32<<10), "a README's pictures are small")
	}
	require.Contains(t, svgText(t, filepath.Join(dir, "throughput.svg")), "TLS echo, 100 clients, 1,000 in flight")
	require.Contains(t, svgText(t, filepath.Join(dir, "sizes.svg")), "1 Mi")
}

func TestWhatWasNotMeasuredHasNoPicture(t *testing.T) {
	dir := t.TempDir()
	nothing := everything(1)
	for i := range nothing.Trials {
		nothing.Trials[i].Figures = nil
	}
	for _, o := range []*compare.Outcome{nothing, everything(0)} { // a logarithmic scale can't show zero
		require.NoError(t, Write(dir, o))
		svgs, err := filepath.Glob(filepath.Join(dir, "*.svg"))
		require.NoError(t, err)
		require.Empty(t, svgs)
	}
}

func TestTheReadmesSectionIsReplacedAndNothingElse(t *testing.T) {
	root := t.TempDir()
	readme, dir := filepath.Join(root, "README.md"), filepath.Join(root, "benchmarks", "results")
	require.NoError(t, os.WriteFile(readme, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o644))

	for range 2 { // the second time the result is the same
		require.NoError(t, WriteReadme(readme, dir, everything(2)))
		b, err := os.ReadFile(readme)
		require.NoError(t, err)
		text := string(b)
		require.True(t, strings.HasPrefix(text, "before\n"+begin+"\nMeasured on 2001-09-09"), text)
		require.True(t, strings.HasSuffix(text, end+"\nafter\n"), text)
		require.NotContains(t, text, "old")
		require.Equal(t, 1, strings.Count(text, "(benchmarks/results/throughput.svg)"))
		require.Contains(t, text, "(benchmarks/results/README.md)")
		require.Contains(t, text, "cd benchmarks && go run . compare")
		require.Contains(t, text, "| TCP to 100 clients |")
	}
}

func TestAReadmeWithoutASectionIsAnError(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	for _, text := range []string{"", begin, end, end + begin} {
		require.NoError(t, os.WriteFile(readme, []byte(text), 0o644))
		require.ErrorContains(t, WriteReadme(readme, ".", everything(2)), "there is no section")
		b, err := os.ReadFile(readme)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}

func TestFiguresThatAreNoneAreAnError(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, figures), []byte("BenchmarkOther 1 2 ns/op\n"), 0o644))
	_, err = Read(dir)
	require.ErrorContains(t, err, figures)
}
