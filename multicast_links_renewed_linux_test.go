package chanio_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

// veth makes the interface d0 with two addresses of each family.
const veth = `
	ip link add d0 type veth peer name d1; ip link set d1 up
	echo 0 > /proc/sys/net/ipv6/conf/d0/accept_dad
	ip addr add 10.9.9.1/24 dev d0; ip addr add 10.9.9.2/24 dev d0
	ip -6 addr add fd09::1/64 dev d0 nodad; ip -6 addr add fd09::2/64 dev d0 nodad
	ip link set d0 up
	ip -6 route replace multicast ff00::/8 dev d0 table local`

// eachFamily runs f in a network with that interface.
func eachFamily(t *testing.T, f func(t *testing.T, network string, group netip.AddrPort, addresses [2]string)) {
	for _, c := range []struct {
		network, group string
		addresses      [2]string
	}{
		{"udp4", "239.255.7.10:7010", [2]string{"10.9.9.1", "10.9.9.2"}},
		{"udp6", "[ff05::7:10]:7010", [2]string{"fd09::1", "fd09::2"}},
	} {
		t.Run(c.network, func(t *testing.T) {
			netns.Enter(t, "ip link set lo up;"+veth)
			f(t, c.network, netip.MustParseAddrPort(c.group), c.addresses)
		})
	}
}

// remake recreates d0 and waits until the group of p is joined on it.
func remake(t *testing.T, p *chanio.PacketConn) {
	t.Helper()
	require.NoError(t, netns.Run("ip link del d0"))
	nextEvent(t, p, chanio.EventFailed)
	require.NoError(t, netns.Run(veth))
	nextEvent(t, p, chanio.EventJoined)
}

func TestASourceSpecificGroupSurvivesTheReturnOfItsInterface(t *testing.T) {
	eachFamily(t, func(t *testing.T, network string, group netip.AddrPort, addresses [2]string) {
		p := packetConn(t, network, netip.AddrPortFrom(unspecified(group), group.Port()).String(), nil, false)
		nextEvent(t, p, chanio.EventStarted)
		require.NoError(t, p.JoinSource(group.Addr(), netip.MustParseAddr(addresses[0]), interfaceNamed(t, "d0")))
		for range 2 {
			for _, address := range []string{addresses[1], addresses[0]} {
				from := packetConn(t, network, netip.AddrPortFrom(netip.MustParseAddr(address), 0).String(), nil, false)
				require.NoError(t, from.Put(chanio.Packet{Addr: group, IfIndex: interfaceNamed(t, "d0").Index, Data: []byte("news")}))
				require.NoError(t, from.Close())
			}
			require.Equal(t, addresses[0], nextPacket(t, p).Addr.Addr().String(), "not the other one, which sent before it")
			remake(t, p)
		}
	})
}

func TestABoundSocketSendsToGroupsFromItsAddress(t *testing.T) {
	eachFamily(t, func(t *testing.T, network string, group netip.AddrPort, addresses [2]string) {
		p := packetConn(t, network, netip.AddrPortFrom(unspecified(group), group.Port()).String(), nil, false)
		require.NoError(t, p.JoinGroup(group.Addr(), interfaceNamed(t, "d0")))
		for _, address := range addresses {
			from := packetConn(t, network, netip.AddrPortFrom(netip.MustParseAddr(address), 0).String(), nil, false)
			m := chanio.Packet{Addr: group, IfIndex: interfaceNamed(t, "d0").Index, Data: []byte("news")}
			require.NoError(t, from.Put(m))
			batch := chanio.NewPacketBatch()
			batch.Append(m)
			batch.Append(m)
			require.NoError(t, from.PutBatch(batch))
			for range 3 {
				require.Equal(t, from.LocalAddr(), nextPacket(t, p).Addr)
			}
			require.NoError(t, from.Close())
		}
	})
}

func TestGroupsAreSentToThroughTheChosenInterfaceWhenItComesBack(t *testing.T) {
	eachFamily(t, func(t *testing.T, network string, group netip.AddrPort, _ [2]string) {
		p, err := chanio.ListenMulticast(t.Context(), network, group.String(), &chanio.Options{Multicast: chanio.Multicast{Interface: interfaceNamed(t, "d0")}})
		require.NoError(t, err)
		defer p.Close()
		nextEvent(t, p, chanio.EventStarted)
		for range 2 {
			require.NoError(t, p.Put(chanio.Packet{Addr: group, Data: []byte("news")}))
			require.NoError(t, p.Flush(t.Context()))
			require.Equal(t, "news", string(nextPacket(t, p).Data))
			remake(t, p)
		}
	})
}

// unspecified returns the wildcard address of a group's family.
func unspecified(group netip.AddrPort) netip.Addr {
	if group.Addr().Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
