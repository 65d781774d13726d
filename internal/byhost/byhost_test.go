package byhost

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPickTakesFromTheHostThatHasTheMost(t *testing.T) {
	var s Set[string]
	few, many := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	s.Add(few, "few")
	s.Add(many, "many")
	third := s.Add(many, "many")
	for range 100 {
		require.Equal(t, "many", s.Pick().Value)
	}
	s.Remove(third)
	seen := make(map[string]bool)
	for range 200 {
		seen[s.Pick().Value] = true
	}
	require.Len(t, seen, 2, "among equals, the pick is random")
}

func TestPickIsRandomWithinAnHost(t *testing.T) {
	var s Set[int]
	for i := range 4 {
		s.Add(netip.Addr{}, i)
	}
	seen := make(map[int]bool)
	for range 400 {
		seen[s.Pick().Value] = true
	}
	require.Len(t, seen, 4)
}

func TestAHostIsAnAddressOrAnIPv6NetworkOf64Bits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::2:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%a", "fe80::2%a", false},
		{"fe80::1%a", "fe80::1%b", true},
	} {
		got := Host(netip.MustParseAddr(test.a)) == Host(netip.MustParseAddr(test.b))
		require.Equal(t, test.same, got, "%s and %s", test.a, test.b)
	}
	require.Equal(t, netip.Prefix{}, Host(netip.Addr{}))
}

// A model tells which host may be picked after any order of Add and Remove.
func TestASetAgreesWithAModel(t *testing.T) {
	var s Set[int]
	model := make(map[int][]*Member[int])
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}) }
	size := 0
	for range 20000 {
		i := rand.IntN(20)
		if rand.IntN(2) == 0 || len(model[i]) == 0 {
			model[i] = append(model[i], s.Add(addr(i), i))
			size++
		} else {
			k := rand.IntN(len(model[i]))
			s.Remove(model[i][k])
			model[i] = append(model[i][:k:k], model[i][k+1:]...)
			size--
		}
		require.Equal(t, size, s.Len())
		if size == 0 {
			continue
		}
		most := 0
		for _, members := range model {
			most = max(most, len(members))
		}
		picked := s.Pick()
		require.Len(t, model[picked.Value], most)
		require.Contains(t, model[picked.Value], picked)
	}
	for _, members := range model {
		for _, m := range members {
			s.Remove(m)
		}
	}
	require.Zero(t, s.Len())
	require.Empty(t, s.hosts, "a host without members is forgotten")
	require.Len(t, s.bySize, 1)
}
