package datagram

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFunctionsMissingInXNetAreUnsupported(t *testing.T) {
	require.ErrorIs(t, supported(errors.New("not implemented on "+runtime.GOOS+"/"+runtime.GOARCH)), errors.ErrUnsupported)
	other := errors.New("no such device")
	require.Equal(t, other, supported(other))
}

func TestGroupsOfBothFamiliesGoOverASocketOfBothOnly(t *testing.T) {
	one, six := netip.MustParseAddr("239.255.7.1"), netip.MustParseAddr("ff02::7:1")
	for _, c := range []struct {
		name, network, address string
		joins4, joins6         bool
	}{
		{"IPv4", "udp4", "0.0.0.0:0", true, false},
		{"IPv6", "udp6", "[::]:0", false, true},
		{"both", "udp", "[::]:0", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := listen(t, c.network, c.address, Config{})
			lo := loopback(t)
			err := conn.Join(one, netip.Addr{}, lo)
			require.Equal(t, c.joins4, err == nil, "%v", err)
			err = conn.Join(six, netip.Addr{}, lo)
			require.Equal(t, c.joins6, err == nil, "%v", err)
			require.ErrorContains(t, conn.Join(netip.MustParseAddr("127.0.0.1"), netip.Addr{}, lo), "not a multicast group")
			require.ErrorContains(t, conn.Leave(netip.Addr{}, lo), "not a multicast group")
		})
	}
}

func TestMulticastThatCannotBeSetNamesWhat(t *testing.T) {
	c := listen(t, "udp4", "0.0.0.0:0", Config{})
	require.ErrorContains(t, c.SetMulticast(Multicast{Interface: &net.Interface{Index: 1 << 20, Name: "nowhere0"}}), `"nowhere0"`)
	require.ErrorContains(t, c.SetMulticast(Multicast{TTL: 1 << 20}), "TTL 1048576")
}

// listenGroup returns a Conn of a group, joined on the loopback interface.
func listenGroup(t *testing.T, group string, cfg Config) *Conn {
	t.Helper()
	lo := loopback(t)
	free := listen(t, "udp4", "0.0.0.0:0", cfg)
	addr := netip.AddrPortFrom(netip.MustParseAddr(group), free.LocalAddr().Port())
	require.NoError(t, free.Close())
	c, err := ListenGroup(t.Context(), addr, lo, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Join(addr.Addr(), netip.Addr{}, lo))
	return c
}

func TestAGroupsConnSendsFromTheLocalAddressThatIsAskedFor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8")
	}
	eachEngine(t, func(t *testing.T, cfg Config) {
		c := listenGroup(t, "239.255.7.2", cfg)
		peer := listen(t, "udp4", "127.0.0.1:0", cfg)
		from := netip.MustParseAddr("127.0.0.2")
		write(t, c, Packet{Addr: peer.LocalAddr(), Local: netip.AddrPortFrom(from, 1), Data: []byte("x")})
		require.Equal(t, netip.AddrPortFrom(from, c.LocalAddr().Port()), receive(t, peer, 1)[0].Addr)
		write(t, c, Packet{Addr: peer.LocalAddr(), Local: c.LocalAddr(), Data: []byte("x")})
		require.Equal(t, "127.0.0.1", receive(t, peer, 1)[0].Addr.Addr().String(), "a group is no source")
	})
}

func TestAGroupsConnMayBroadcast(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		c := listenGroup(t, "239.255.7.3", cfg)
		_, err := c.Write([]Packet{{Addr: netip.MustParseAddrPort("127.255.255.255:9"), Data: []byte("x")}})
		require.NoError(t, err)
	})
}

func TestJoiningAgainAfterTheInterfaceCameBackIsNotUndoneByRenewal(t *testing.T) {
	group := netip.MustParseAddr("239.255.7.2")
	for _, sources := range [][]netip.Addr{
		{{}},
		{netip.MustParseAddr("127.0.0.1")},
		{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")},
	} {
		for _, index := range []int{0, 1 << 20} { // it was seen to go, or not even that
			conn := listen(t, "udp4", "0.0.0.0:0", Config{})
			lo := loopback(t)
			for _, source := range sources {
				require.NoError(t, conn.Join(group, source, lo))
			}
			conn.leave(group, lo.Index) // as the kernel does when an interface goes
			conn.joined.all[0].index = index

			require.NoError(t, conn.Join(group, sources[0], lo))
			changed, away := conn.RenewGroups()
			require.Empty(t, changed)
			require.False(t, away)
			require.Error(t, conn.Join(group, sources[len(sources)-1], lo), "the kernel has it joined already")
		}
	}
}
