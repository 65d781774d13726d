package datagram

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/chanio/internal/test/netns"
)

func TestTheTableOfNeighborsIsReadAnewAfterAReadingThatFailed(t *testing.T) {
	netns.Enter(t, `
		ip link add name d0 type veth peer name d1
		ip link set d0 up
		ip addr add 10.9.9.1/24 dev d0
		ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev d0 nud permanent`)
	table := openNeighborTable()
	require.NotNil(t, table)
	defer table.close()
	require.NoError(t, table.raw.Control(func(fd uintptr) { // and its answer stays where it is
		require.NoError(t, unix.Sendto(int(fd), neighborRequest(table.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
	}))
	require.NoError(t, netns.Run(`
		ip neigh del 10.9.9.2 dev d0
		ip neigh add 10.9.9.3 lladdr 02:00:00:00:00:03 dev d0 nud permanent`))
	var read []netip.Addr
	for tries := 0; len(read) == 0 && tries < 2; tries++ { // the kernel may have been busy with that answer
		table.read(func(e neighborEntry) {
			if e.state == unix.NUD_PERMANENT && e.addr.Is4() {
				read = append(read, e.addr)
			}
		})
	}
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.9.9.3")}, read)
}
