package chanio

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// Peers whose addresses have the same hash are told apart.
func TestPeersWithTheSameHashAreToldApart(t *testing.T) {
	table := newPeerTable()
	seen := make(map[uint32]*peer)
	var first, second *peer
	for i := 0; second == nil; i++ {
		p := &peer{key: peerKey{remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)}}
		hash := table.hash(&p.key)
		if other := seen[hash]; other != nil {
			first, second = other, p
		}
		seen[hash] = p
	}
	for _, order := range [][2]*peer{{first, second}, {second, first}} {
		require.True(t, table.insert(first, 1))
		require.Nil(t, table.hear(&second.key, 1))
		require.True(t, table.insert(second, 2))
		require.False(t, table.insert(second, 2))
		require.Same(t, first, table.hear(&first.key, 3))
		require.Same(t, second, table.hear(&second.key, 3))
		table.remove(order[0])
		require.Nil(t, table.hear(&order[0].key, 4))
		require.Same(t, order[1], table.hear(&order[1].key, 4))
		table.remove(order[1])
		require.Empty(t, table.byHash)
		require.Zero(t, table.known)
	}
}
