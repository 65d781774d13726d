package results

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/compare"
)

// stored returns what the project has measured.
func stored(t *testing.T) compare.Outcome {
	t.Helper()
	o, err := Read(filepath.Join("..", "..", "results"))
	require.NoError(t, err)
	return o
}

func TestWriteLeavesFiguresTablesAndPictures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	o := stored(t)
	require.NoError(t, Write(dir, o))

	again, err := Read(dir)
	require.NoError(t, err)
	require.Equal(t, o.Tables(nil), again.Tables(nil))

	text, err := os.ReadFile(filepath.Join(dir, tablesFile))
	require.NoError(t, err)
	for name, row := range map[string]string{
		"throughput": "tls-echo-100x1000", "latency": "99.9 %", "clients": "tcp-echo-10000x1", "sizes": "tcp-echo-10x1-1MiB",
	} {
		require.Contains(t, string(text), "("+name+".svg)")
		svg, err := os.ReadFile(filepath.Join(dir, name+".svg"))
		require.NoError(t, err)
		require.NoError(t, xml.Unmarshal(svg, new(struct{})), "it is well-formed")
		require.Contains(t, string(svg), ">chanio<")
		require.Contains(t, string(svg), ">"+row+"<")
		require.Less(t, len(svg), 32<<10, "a README's pictures are small")
	}
}

func TestWhatWasNotMeasuredHasNoPicture(t *testing.T) {
	dir, o := t.TempDir(), stored(t)
	for i, trial := range o {
		if i%2 == 0 {
			trial.Values = nil
		}
		for j := range trial.Values {
			trial.Values[j].Value = 0 // has no place on a logarithmic scale
		}
	}
	require.NoError(t, Write(dir, o))
	svgs, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	require.NoError(t, err)
	require.Empty(t, svgs)
}

func TestTheReadmesSectionIsReplacedAndNothingElse(t *testing.T) {
	root := t.TempDir()
	readme, dir := filepath.Join(root, "README.md"), filepath.Join(root, "benchmarks", "results")
	require.NoError(t, os.WriteFile(readme, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o644))

	for range 2 { // the second time the result is the same
		require.NoError(t, WriteReadme(readme, dir, stored(t)))
		b, err := os.ReadFile(readme)
		require.NoError(t, err)
		text := string(b)
		require.True(t, strings.HasPrefix(text, "before\n"+begin+"\nMeasured on 20"), text)
		require.True(t, strings.HasSuffix(text, end+"\nafter\n"), text)
		require.NotContains(t, text, "old")
		require.Equal(t, 1, strings.Count(text, "(benchmarks/results/throughput.svg)"))
		require.Contains(t, text, "(benchmarks/results/README.md)")
		require.Contains(t, text, "cd benchmarks && go run . compare -set readme")
		require.Contains(t, text, "| tcp-multicast-5000 |")
	}
}

func TestAReadmeWithoutASectionIsAnError(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	for _, text := range []string{"", begin, end, end + begin} {
		require.NoError(t, os.WriteFile(readme, []byte(text), 0o644))
		require.ErrorContains(t, WriteReadme(readme, ".", stored(t)), "there is no section")
		b, err := os.ReadFile(readme)
		require.NoError(t, err)
		require.Equal(t, text, string(b))
	}
}

func TestFiguresThatAreNoneAreAnError(t *testing.T) {
	dir := t.TempDir()
	_, err := Read(dir)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(filepath.Join(dir, figuresFile), []byte("BenchmarkOther 1 2 ns/op\n"), 0o644))
	_, err = Read(dir)
	require.ErrorContains(t, err, figuresFile)
}
