package compare

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func namesOf(scenarios []Scenario) []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.Name)
	}
	return names
}

func setOf(t *testing.T, name string) []string {
	t.Helper()
	in, err := InSet(Catalogue(), name)
	require.NoError(t, err)
	return namesOf(in)
}

func TestTheTwelveScenariosOfCppServer(t *testing.T) {
	require.ElementsMatch(t, []string{
		"tcp-echo-1x1000", "tcp-echo-100x1000", "tcp-multicast-1", "tcp-multicast-100",
		"tls-echo-1x1000", "tls-echo-100x1000", "tls-multicast-1", "tls-multicast-100",
		"udp-echo-1x1000", "udp-echo-100x1000", "udp-multicast-1", "udp-multicast-100",
	}, setOf(t, "cppserver"))
}

func TestGrowthHasItsScenarios(t *testing.T) {
	require.ElementsMatch(t, scenariosOf(ClientSteps()), setOf(t, "clients"))
	require.ElementsMatch(t, scenariosOf(SizeSteps()), setOf(t, "sizes"))
	require.Equal(t, Step{10_000, "tcp-echo-10000x1"}, ClientSteps()[4])
	require.Equal(t, Step{1 << 20, "tcp-echo-10x1-1MiB"}, SizeSteps()[5])
}

func TestTheReadmeHasWhatItShowsAndTheBars(t *testing.T) {
	in := setOf(t, "readme")
	for _, set := range []string{"cppserver", "bars", "clients", "sizes"} {
		require.Subset(t, in, setOf(t, set), set)
	}
	for _, names := range [][]string{summaryEchoes, summaryMulticasts} {
		require.Subset(t, in, names)
	}
}

func TestSetsAreKnownByName(t *testing.T) {
	require.Len(t, setOf(t, "all"), len(Catalogue()))
	_, err := InSet(Catalogue(), "none")
	require.EqualError(t, err, `set "none" is none of all, readme, cppserver, bars, clients, sizes`)
}
