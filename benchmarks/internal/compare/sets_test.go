package compare

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func setOf(t *testing.T, name string) []string {
	t.Helper()
	in, err := Select(name, "")
	require.NoError(t, err)
	var names []string
	for _, s := range in {
		names = append(names, s.Name())
	}
	return names
}

func TestTheTwelveScenariosOfCppServer(t *testing.T) {
	require.ElementsMatch(t, []string{
		"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-multicast-1", "tcp-multicast-100",
		"tls-echo-1x1000", "tls-echo-100x1000", "tls-multicast-1", "tls-multicast-100",
		"udp-echo-1x1000", "udp-echo-100x1000", "udp-multicast-1", "udp-multicast-100",
	}, setOf(t, "cppserver"))
}

func TestGrowthHasItsScenarios(t *testing.T) {
	require.Equal(t, []string{"tcp-echo-1x1", "tcp-echo-10x1", "tcp-echo-100x1", "tcp-echo-1000x1", "tcp-echo-10000x1"}, setOf(t, "clients"))
	require.Len(t, setOf(t, "sizes"), len(SizeSteps()))
	require.Equal(t, Step{1 << 20, "tcp-echo-10x1-1MiB"}, SizeSteps()[5])
}

func TestTheReadmeHasWhatItShowsAndTheBars(t *testing.T) {
	in := setOf(t, "readme")
	for _, set := range []string{"cppserver", "bars", "clients", "sizes"} {
		require.Subset(t, in, setOf(t, set), set)
	}
	for _, names := range [][]string{summaryEchoes, summaryMulticasts, summaryWebSockets, summaryLatencies} {
		require.Subset(t, in, names)
	}
}

func TestSelectMatchesNamesOfASet(t *testing.T) {
	all, err := Select("all", "^tcp-(churn|publish)")
	require.NoError(t, err)
	require.Len(t, all, 2)
	for _, c := range [][3]string{
		{"none", "", `-set: "none" is none of all, readme, cppserver, bars, websocket, clients, sizes`},
		{"bars", "^none$", "no scenario of set"},
		{"all", "(", "-run: error parsing"},
	} {
		_, err := Select(c[0], c[1])
		require.ErrorContains(t, err, c[2])
	}
}

func TestScenarioNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, name := range setOf(t, "all") {
		require.False(t, seen[name], name)
		seen[name] = true
	}
}

func TestEachBarHasItsScenario(t *testing.T) {
	has := make(map[Figure]bool)
	for _, s := range Catalogue() {
		for _, e := range s.Entrants {
			has[Figure{Scenario: s.Name(), Entrant: e}] = true
		}
	}
	for _, b := range Bars() {
		for _, f := range append([]Figure{b.Figure}, b.To...) {
			require.True(t, has[Figure{Scenario: f.Scenario, Entrant: f.Entrant}], "%+v", f)
		}
	}
}
