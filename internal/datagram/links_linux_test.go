package datagram

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/test/netns"
)

// A link that comes back under its name has another index: nothing may go by
// the name's old index.
func TestALinkThatComesBackUnderItsNameIsAnsweredAtOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		netns.Enter(t, "ip link set lo up")
		// The other end of the link is in the same namespace: what goes out of one
		// end comes in at the other.
		again := func() {
			require.NoError(t, netns.Run(`
				ip link del here 2>/dev/null || true
				ip link add here type veth peer name there
				for i in here there; do
					echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad
					echo 1 > /proc/sys/net/ipv6/conf/$i/addr_gen_mode
				done
				ip link set here up; ip link set there up
				ip -6 addr add fe80::1/64 dev here nodad; ip -6 addr add fe80::2/64 dev there nodad`))
		}
		again()
		server, client := listen(t, "udp6", "[::]:0", cfg), listen(t, "udp6", "[::]:0", cfg)
		to := netip.AddrPortFrom(netip.MustParseAddr("fe80::1%there"), server.LocalAddr().Port())
		for range 3 {
			write(t, client, Packet{Addr: to, Data: []byte("ping")})
			got := receive(t, server, 1)[0]
			require.Equal(t, "fe80::2%here", got.Addr.Addr().String())
			write(t, server, got) // as it came
			require.Equal(t, to, receive(t, client, 1)[0].Addr)
			write(t, server, Packet{Addr: got.Addr, Data: []byte("by the name")})
			receive(t, client, 1)
			again()
		}
	})
}

func TestATTLOf0JoinsAnyNumberOfGroupsWhereTheSystemSendsThem(t *testing.T) {
	for _, f := range []struct{ name, network, wildcard, group, route string }{
		{"IPv4", "udp4", "0.0.0.0:0", "239.1.2.%d", "ip route add 224.0.0.0/4 dev lo src 127.0.0.1"},
		{"IPv6", "udp6", "[::]:0", "ff02::%d", "ip -6 route add local ff00::/8 dev lo table local"},
	} {
		t.Run(f.name, func(t *testing.T) {
			netns.Enter(t, "ip link set lo up; "+f.route)
			a, b := listen(t, f.network, f.wildcard, Config{}), listen(t, f.network, f.wildcard, Config{})
			require.NoError(t, a.SetMulticast(Multicast{TTL: -1}))
			for i := range 3 * maxMemberships {
				group := netip.MustParseAddr(fmt.Sprintf(f.group, i+1))
				require.NoError(t, b.Join(group, netip.Addr{}, loopback(t)))
				write(t, a, Packet{Addr: netip.AddrPortFrom(group, b.LocalAddr().Port()), Data: []byte{byte(i)}})
				require.Equal(t, []byte{byte(i)}, receive(t, b, 1)[0].Data)
				require.NoError(t, b.Leave(group, loopback(t)))
			}
			require.NoError(t, a.Close())
			_, err := a.Write([]Packet{{Addr: netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf(f.group, 99)), 9)}})
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// A sender whose datagrams stay on the host goes on when its interface comes
// back, even with another index.
func TestATTLOf0GoesOnWhenItsInterfaceComesBack(t *testing.T) {
	const up = "ip link add d0 type veth peer name e0; ip link set e0 up; ip addr add 10.9.9.1/24 dev d0; ip link set d0 up; ip route add default dev d0"
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprintf("named=%v", named), func(t *testing.T) {
			netns.Enter(t, "ip link set lo up;"+up)
			c, err := Listen(t.Context(), "udp4", "0.0.0.0:0", Config{})
			require.NoError(t, err)
			defer c.Close()
			m := Multicast{TTL: -1}
			if named {
				m.Interface, err = net.InterfaceByName("d0")
				require.NoError(t, err)
			}
			require.NoError(t, c.SetMulticast(m))
			news := []Packet{{Addr: netip.MustParseAddrPort("239.255.7.9:7009"), Data: []byte("news")}}
			for range 3 {
				n, err := c.Write(news)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.NoError(t, netns.Run("ip link del d0"))
				_, err = c.Write(news)
				require.Error(t, err)
				require.NoError(t, netns.Run(up))
			}
		})
	}
}

// A group that was joined on the system's choice of interface is left there,
// although the system would choose another interface now.
func TestAGroupIsLeftWhereItWasJoinedEvenIfTheRouteMoved(t *testing.T) {
	for _, f := range []struct{ network, bind, group string }{
		{"udp4", "0.0.0.0:0", "239.255.7.9"}, {"udp6", "[::]:0", "ff05::7:9"},
	} {
		t.Run(f.network, func(t *testing.T) {
			netns.Enter(t, `ip link set lo up
				for i in 0 1; do
					ip link add d$i type veth peer name e$i
					echo 1 > /proc/sys/net/ipv6/conf/e$i/disable_ipv6
					ip link set e$i up
					echo 0 > /proc/sys/net/ipv6/conf/d$i/accept_dad
					ip addr add 10.9.$i.1/24 dev d$i
					ip -6 addr add fd0$i::1/64 dev d$i nodad
					ip link set d$i up
					ip -6 route del multicast ff00::/8 dev d$i table local
				done
				ip route add default dev d0
				ip -6 route add multicast ff00::/8 dev d0 table local`)
			c, err := Listen(t.Context(), f.network, f.bind, Config{})
			require.NoError(t, err)
			defer c.Close()
			group := netip.MustParseAddr(f.group)
			d1, err := net.InterfaceByName("d1")
			require.NoError(t, err)
			for c.systemsInterface(group) == nil && t.Context().Err() == nil {
				runtime.Gosched() // the kernel makes IPv6 addresses valid in its own time
			}
			require.NoError(t, c.Join(group, netip.Addr{}, nil))
			require.NoError(t, c.Join(group, netip.Addr{}, d1))
			require.NoError(t, netns.Run(`
				ip route replace default dev d1
				ip -6 route del multicast ff00::/8 dev d0 table local
				ip -6 route add multicast ff00::/8 dev d1 table local`))
			require.Error(t, c.Join(group, netip.Addr{}, d1), "it is a member there")
			require.NoError(t, c.Leave(group, nil))
			require.Error(t, c.Join(group, netip.Addr{}, d1), "it still is")
			require.NoError(t, c.Leave(group, nil), "it is what the system would choose now")
			require.Error(t, c.Leave(group, d1), "it has left")
		})
	}
}
