package chanio_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// SECURITY.md names the tests for each limit that it promises.
func TestTheTestsThatSecurityNamesExist(t *testing.T) {
	have := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	eachSource(t, "_test.go", func(_ string, source []byte) {
		for _, match := range function.FindAllSubmatch(source, -1) {
			have[string(match[1])] = true
		}
	})

	page, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	name := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`")
	limits := 0
	for row := range strings.Lines(string(page)) {
		cells := strings.Split(row, "|")
		if len(cells) != 5 || strings.Contains(row, "held by") || strings.Contains(row, "---") {
			continue
		}
		limits++
		names := name.FindAllStringSubmatch(cells[3], -1)
		require.NotEmpty(t, names, "no test holds: %s", row)
		for _, n := range names {
			require.True(t, have[n[1]], "%s does not exist", n[1])
		}
	}
	require.Greater(t, limits, 30)
}
