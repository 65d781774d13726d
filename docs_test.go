package chanio

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A page for maintainers that names what is gone misleads.
func TestWhatThePagesForMaintainersNameExists(t *testing.T) {
	words := make(map[string]bool)
	for _, w := range regexp.MustCompile(`\w+`).FindAllString(allSource(t), -1) {
		words[w] = true
	}
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

// allSource returns all source of the repository, and the names of its files and
// directories.
func allSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(path, ".git") || path == "docs_test.go" {
			return err
		}
		all.WriteString(path + "\n")
		if strings.HasSuffix(path, ".go") {
			source, err := os.ReadFile(path)
			all.Write(source)
			return err
		}
		return nil
	}))
	return all.String()
}
