package datagram

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatXNetHasNotImplementedIsUnsupported(t *testing.T) {
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
			require.ErrorContains(t, conn.Join(netip.MustParseAddr("127.0.0.1"), netip.Addr{}, lo), "no multicast group")
			require.ErrorContains(t, conn.Leave(netip.Addr{}, lo), "no multicast group")
		})
	}
}

func TestMulticastThatCannotBeSetNamesWhat(t *testing.T) {
	c := listen(t, "udp4", "0.0.0.0:0", Config{})
	require.ErrorContains(t, c.SetMulticast(Multicast{Interface: &net.Interface{Index: 1 << 20, Name: "nowhere0"}}), `"nowhere0"`)
	require.ErrorContains(t, c.SetMulticast(Multicast{TTL: 1 << 20}), "TTL 1048576")
}
