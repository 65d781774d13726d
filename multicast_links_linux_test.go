package chanio_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
	"example.com/chanio/internal/test/netns"
)

// soon bounds how long it takes until events report that a group's interface has
// gone or is back, and until the group is received again.
const soon = 10 * time.Second

// A group is received again within soon when its interface has gone and come
// back, under any index, and events report both.
func TestAGroupIsJoinedAgainWhenItsInterfaceComesBack(t *testing.T) {
	const up = `
		echo 0 > /proc/sys/net/ipv6/conf/d0/accept_dad
		ip addr add 10.9.9.1/24 dev d0
		ip -6 addr add fd09::1/64 dev d0 nodad
		ip link set d0 up
		ip -6 route replace multicast ff00::/8 dev d0 table local` // which the kernel adds too, in its own time
	const (
		del     = "ip link del d0"
		dummy   = "ip link add d0 type dummy;" + up
		ifb     = "ip link add d0 type ifb;" + up // as free of other devices as a dummy, and in more kernels
		veth    = "ip link add d0 type veth peer name d1; ip link set d1 up;" + up
		lower   = "ip link add p0 type veth peer name p1; ip link set p0 up; ip link set p1 up;"
		macvlan = "ip link add link p0 name d0 type macvlan;" + up
		bridge  = "ip link add d0 type bridge; ip link set p0 master d0;" + up
	)
	for _, c := range []struct{ name, before, make, gone, back string }{
		{"a dummy is recreated", "", dummy, del, dummy},
		{"an ifb is recreated", "", ifb, del, ifb},
		{"a veth is recreated", "", veth, del, veth},
		{"a macvlan is recreated", lower, macvlan, del, macvlan},
		{"a bridge is recreated", lower, bridge, del, bridge},
		{"a veth is down for a while", "", veth, "ip link set d0 down", "ip -6 addr flush dev d0; ip addr flush dev d0;" + up},
	} {
		for _, f := range []struct{ network, group string }{
			{"udp4", "239.255.7.9:7009"}, {"udp6", "[ff05::7:9]:7009"},
		} {
			t.Run(c.name+", "+f.network, func(t *testing.T) {
				netns.Enter(t, "ip link set lo up;"+c.before+c.make)
				p, err := chanio.ListenMulticast(t.Context(), f.network, f.group, &chanio.Options{Multicast: chanio.Multicast{Interface: interfaceNamed(t, "d0")}})
				require.NoError(t, err)
				defer p.Close()
				nextEvent(t, p, chanio.EventStarted)
				heard(t, p, f.group)
				for range 2 {
					require.NoError(t, netns.Run(c.gone))
					gone := time.Now()
					event := nextEvent(t, p, chanio.EventFailed)
					require.Less(t, time.Since(gone), soon)
					require.ErrorIs(t, event.Err, datagram.ErrInterfaceGone)
					require.ErrorContains(t, event.Err, `"d0"`)
					require.NoError(t, netns.Run(c.back))
					back := time.Now()
					nextEvent(t, p, chanio.EventJoined)
					heard(t, p, f.group)
					require.Less(t, time.Since(back), soon)
				}
				require.NoError(t, p.LeaveGroup(netip.MustParseAddrPort(f.group).Addr(), interfaceNamed(t, "d0")))
			})
		}
	}
}

func interfaceNamed(t *testing.T, name string) *net.Interface {
	t.Helper()
	ifi, err := net.InterfaceByName(name)
	require.NoError(t, err)
	return ifi
}

// heard sends to the group through d0, and waits until p has received that.
func heard(t *testing.T, p *chanio.PacketConn, group string) {
	t.Helper()
	to := netip.MustParseAddrPort(group)
	address := "10.9.9.1:0"
	if to.Addr().Is6() {
		address = "[fd09::1]:0"
	}
	from := packetConn(t, "udp", address, nil, false)
	defer from.Close()
	require.NoError(t, from.Put(chanio.Packet{Addr: to, IfIndex: interfaceNamed(t, "d0").Index, Data: []byte("news")}))
	require.NoError(t, from.Flush(t.Context()))
	require.Equal(t, "news", string(nextPacket(t, p).Data))
}
