package chanio_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

func TestADialToAGroupLeavesFromAnAddressOfItsInterface(t *testing.T) {
	for _, f := range linkFamilies {
		t.Run(f.name, func(t *testing.T) {
			netns.Enter(t, `
				ip link set lo up
				for i in 1 2; do
					ip link add name d$i type veth peer name e$i
					echo 0 > /proc/sys/net/ipv6/conf/d$i/accept_dad
					ip addr add 10.8.$i.1/24 dev d$i
					ip -6 addr add fd08:$i::1/64 dev d$i nodad
					ip link set d$i up
					ip link set e$i up
				done
				ip route add default via 10.8.1.2
				ip -6 route add default via fd08:1::2
				ip -6 route add multicast ff00::/8 dev d1 table local metric 1
				ip -6 route add multicast ff00::/8 dev d2 table local metric 2`)
			d2, err := net.InterfaceByName("d2")
			require.NoError(t, err)
			o := &chanio.Options{Multicast: chanio.Multicast{Interface: d2}}
			member, err := chanio.ListenMulticast(t.Context(), f.network, f.group, o)
			require.NoError(t, err)
			defer member.Close()

			s, err := chanio.Dial(t.Context(), f.network, f.group, o)
			require.NoError(t, err)
			defer s.Close()
			require.NoError(t, s.Put([]byte("hello")))
			m := requireNext(t, member, "hello")
			require.Equal(t, d2.Index, m.IfIndex)
			addrs, err := d2.Addrs()
			require.NoError(t, err)
			var own []netip.Addr
			for _, a := range addrs {
				own = append(own, netip.MustParsePrefix(a.String()).Addr())
			}
			require.Contains(t, own, m.Addr.Addr().WithZone(""))
			require.Equal(t, m.Addr.Addr().WithZone(""), s.LocalAddr().(*net.UDPAddr).AddrPort().Addr().WithZone(""))
		})
	}
}

func TestInputThatTheKernelLackedMemoryForIsReadLater(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, s := memDialed(t, t.Context(), nil)
				start := time.Now()
				for range 3 {
					m.fail <- errno
				}
				m.arrives("x")
				require.Equal(t, "x", string(<-s.Recv()))
				require.Equal(t, (5+10+20)*time.Millisecond, time.Since(start), "it does not spin")

				start = time.Now()
				m.fail <- errno
				require.NoError(t, s.Close())
				require.Zero(t, time.Since(start), "the pause delays nothing")
			})
		})
	}
}
