package compare

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/benchmarks/internal/bench"
)

func setOf(t *testing.T, name string) []string {
	t.Helper()
	in, err := Select(name, "")
	require.NoError(t, err)
	var names []string
	for _, s := range in {
		names = append(names, s.Name)
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
	require.Len(t, setOf(t, "sizes"), 6)
}

func TestNamesSayWhatTheJobIs(t *testing.T) {
	for _, c := range []struct {
		name string
		want bench.Config
	}{
		{"tcp-echo-1x1-pinned",
			bench.Config{Job: "echo", Net: bench.TCP, Clients: 1, Messages: 1, Size: 32, Pinned: true}},
		{"tcp-framed-1x1-64KiB",
			bench.Config{Job: "echo", Net: bench.TCP, Clients: 1, Messages: 1, Size: 64 << 10, Framing: bench.Prefix}},
		{"udp-multicast-100",
			bench.Config{Job: "multicast", Net: bench.UDP, Clients: 100, Size: 32, KernelBuffer: datagramBuffer}},
		{"ws-multicast-5000-1KiB-deflate",
			bench.Config{Job: "multicast", Net: bench.WS, Clients: 5000, Size: 1 << 10, Deflate: true}},
		{"tcp-publish-100",
			bench.Config{Job: "multicast", Net: bench.TCP, Clients: 100, Size: 32, Publish: true}},
		{"tcp-idle-10000-lines",
			bench.Config{Job: "idle", Net: bench.TCP, Clients: 10_000, Size: 32, Framing: bench.Lines}},
		{"tls-churn-resumed",
			bench.Config{Job: "churn", Net: bench.TLS, Clients: churnClients, Size: 32, Resume: true}},
		{"tcp-redis-50x16",
			bench.Config{Job: "redis", Net: bench.TCP, Clients: 50, Messages: 16, Size: 32}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Client = "plain"
			in, err := Select("all", "^"+c.name+"$")
			require.NoError(t, err)
			require.Equal(t, c.want, in[0].Config)
		})
	}
}

func TestTheReadmeHasWhatItShowsAndTheBars(t *testing.T) {
	in := setOf(t, "readme")
	for _, set := range []string{"cppserver", "bars", "clients", "sizes"} {
		require.Subset(t, in, setOf(t, set), set)
	}
}

func TestScenarioNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, name := range setOf(t, "all") {
		require.False(t, seen[name], name)
		seen[name] = true
	}
	for _, s := range Catalogue() {
		require.Contains(t, append(s.Entrants, "-"), s.Base, s.Name)
	}
}

func TestEachBarHasItsScenario(t *testing.T) {
	has := make(map[Figure]bool)
	for _, s := range Catalogue() {
		for _, e := range s.Entrants {
			has[Figure{Scenario: s.Name, Entrant: e}] = true
		}
	}
	for _, b := range Bars() {
		require.True(t, b.Stated || b.Want > 0, "%+v", b)
		for _, f := range append([]Figure{b.Figure}, b.To...) {
			require.True(t, has[Figure{Scenario: f.Scenario, Entrant: f.Entrant}], "%+v", f)
		}
	}
}
