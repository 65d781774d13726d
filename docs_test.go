package chanio_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// A page for maintainers misleads if it names something that is gone.
func TestFilesAndNamesInMaintainersPagesExist(t *testing.T) {
	words := make(map[string]bool)
	eachSource(t, ".go", func(path string, source []byte) {
		if path == "docs_test.go" {
			return
		}
		for _, text := range []string{path, string(source)} {
			for w := range strings.FieldsFuncSeq(text, func(r rune) bool {
				return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
			}) {
				words[w] = true
			}
		}
	})
	quoted := regexp.MustCompile("`([^`\n]+)`")
	word := regexp.MustCompile(`^[\w.]+$`)
	for _, page := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "")
		for _, m := range quoted.FindAllStringSubmatch(prose, -1) {
			name := m[1]
			switch {
			case strings.Contains(name, "NAME"), strings.Contains(name, " "), strings.Contains(name, "^"):
				continue // a pattern, or a command
			case strings.HasSuffix(name, ".go"), strings.Contains(name, "/"):
				_, err := os.Stat(name)
				require.NoError(t, err, page)
			case word.MatchString(name):
				for part := range strings.SplitSeq(name, ".") {
					require.True(t, words[part], "%s names %s", page, name)
				}
			}
		}
	}
}

// eachSource calls f for each file of the repository whose name ends in suffix.
func eachSource(t *testing.T, suffix string, f func(path string, source []byte)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, suffix) {
			return err
		}
		source, err := os.ReadFile(path)
		f(path, source)
		return err
	}))
}

// A page misleads too if what it links to, or tells to run, is gone.
func TestWhatPagesLinkToAndTellToRunExists(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#:]+)[)#]`)
	commands := regexp.MustCompile(`go (?:run|build|test)\b[^\n&;|]*? (\./\w[\w/]*)`)
	modules := []string{"."}
	eachSource(t, "go.mod", func(path string, _ []byte) { modules = append(modules, filepath.Dir(path)) })
	eachSource(t, ".md", func(path string, source []byte) {
		if strings.Contains(path, "node_modules") {
			return
		}
		for _, m := range links.FindAllStringSubmatch(string(source), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(path), m[1]))
			require.NoError(t, err, path)
		}
		for _, m := range commands.FindAllStringSubmatch(string(source), -1) {
			require.True(t, strings.Contains(m[1], "NAME") || slices.ContainsFunc(modules, func(module string) bool {
				_, err := os.Stat(filepath.Join(module, m[1]))
				return err == nil
			}), "%s: %s", path, m[0])
		}
	})
}
