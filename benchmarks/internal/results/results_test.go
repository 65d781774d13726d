package results

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/compare"
)

// everything returns an outcome in which each entrant of each scenario has a
// figure for everything that pictures and tables show.
func everything() *compare.Outcome {
	o := &compare.Outcome{Began: time.Unix(1e9, 0), Command: "go run . compare", Repeat: 3}
	figure := compare.Spread{Median: 2, Min: 1, Max: 3, Runs: 3}
	for _, s := range compare.Catalogue() {
		for _, e := range s.Entrants {
			r := compare.Result{
				Scenario: s.Name, Title: s.Title, Entrant: e.Name, Base: s.Base,
				Figures: make(map[compare.Metric]compare.Spread),
			}
			for _, m := range []compare.Metric{
				compare.Messages, compare.Data, compare.Cost, compare.Peak, compare.Lost,
				compare.P50, compare.P90, compare.P99, compare.P999, compare.Connected, compare.Echoed,
			} {
				r.Figures[m] = figure
			}
			if e.Name != s.Base {
				r.Ratios = map[compare.Metric]compare.Spread{compare.Messages: figure}
			}
			o.Results = append(o.Results, r)
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
	o := everything()
	require.NoError(t, Write(dir, o))

	again, err := Read(dir)
	require.NoError(t, err)
	require.Equal(t, o.Results, again.Results)

	text, err := os.ReadFile(filepath.Join(dir, tables))
	require.NoError(t, err)
	for _, name := range []string{"throughput", "latency", "clients", "sizes"} {
		for _, theme := range []string{"light", "dark"} {
			file := name + "-" + theme + ".svg"
			require.Contains(t, string(text), `"`+file+`"`)
			require.Contains(t, svgText(t, filepath.Join(dir, file)), "chanio")
			info, err := os.Stat(filepath.Join(dir, file))
			require.NoError(t, err)
			require.Less(t, info.Size(), int64(64<<10), "a README's pictures are small")
		}
	}
	require.Contains(t, svgText(t, filepath.Join(dir, "throughput-light.svg")), "TLS echo, 100 clients, 1,000 in flight")
	require.Contains(t, svgText(t, filepath.Join(dir, "sizes-dark.svg")), "1 Mi")
}

func TestWhatWasNotMeasuredHasNoPicture(t *testing.T) {
	dir := t.TempDir()
	nothing := compare.Spread{}
	zero := compare.Spread{Runs: 3} // a logarithmic scale can't show it
	for _, f := range []compare.Spread{nothing, zero} {
		o := everything()
		for _, r := range o.Results {
			for m := range r.Figures {
				r.Figures[m] = f
			}
			for m := range r.Ratios {
				r.Ratios[m] = f
			}
		}
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
		require.NoError(t, WriteReadme(readme, dir, everything()))
		b, err := os.ReadFile(readme)
		require.NoError(t, err)
		text := string(b)
		require.True(t, strings.HasPrefix(text, "before\n"+begin+"\nMeasured on 2001-09-09"), text)
		require.True(t, strings.HasSuffix(text, end+"\nafter\n"), text)
		require.NotContains(t, text, "old")
		require.Equal(t, 1, strings.Count(text, `src="benchmarks/results/throughput-light.svg"`))
		require.Contains(t, text, "(benchmarks/results/README.md)")
		require.Contains(t, text, "cd benchmarks && go run . compare")
		require.Contains(t, text, "| TCP to 100 clients |")
	}
}

func TestAReadmeWithoutASectionIsAnError(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	for _, text := range []string{"", begin, end, end + begin} {
		require.NoError(t, os.WriteFile(readme, []byte(text), 0o644))
		require.ErrorContains(t, WriteReadme(readme, ".", everything()), "there is no section")
		b, err := os.ReadFile(readme)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}

func TestFiguresThatAreNoneAreAnError(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, figures), []byte("{"), 0o644))
	_, err = Read(dir)
	require.ErrorContains(t, err, figures)
}
