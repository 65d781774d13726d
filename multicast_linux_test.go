package chanio_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

// linkFamilies are the families of the tests on a link between two hosts.
var linkFamilies = []struct{ name, network, wildcard, group string }{
	{"IPv4", "udp4", "0.0.0.0:0", "239.255.7.1:7007"},
	{"IPv6", "udp6", "[::]:0", "[ff05::7:1]:7007"},
	{"IPv6, of the link", "udp6", "[::]:0", "[ff02::7:1]:7007"},
}

// TestMulticastOptionsDecideWhatLeavesTheHost sends to a group from one of two hosts that share a
// link. Each case ends with a message that all members receive. Nothing
// overtakes it, so whatever they did not receive before it never comes.
func TestMulticastOptionsDecideWhatLeavesTheHost(t *testing.T) {
	for _, f := range linkFamilies {
		for _, c := range []struct {
			name        string
			multicast   chanio.Multicast
			here, there bool // where it is received
		}{
			{"by default", chanio.Multicast{}, true, true},
			{"with a TTL", chanio.Multicast{TTL: 3}, true, true},
			{"a TTL of 0 stays on the host", chanio.Multicast{TTL: -1}, true, false},
			{"NoLoopback is silent to the own host", chanio.Multicast{NoLoopback: true}, false, true},
			{"both are silent to all", chanio.Multicast{TTL: -1, NoLoopback: true}, false, false},
		} {
			for _, member := range []bool{true, false} {
				name := f.name + ", " + c.name
				if !member {
					name += ", without a member here"
				}
				t.Run(name, func(t *testing.T) {
					elsewhere := netns.Veth(t)
					join := func() (*chanio.PacketConn, error) {
						v0, err := net.InterfaceByName("v0")
						if err != nil {
							return nil, err
						}
						return chanio.ListenMulticast(t.Context(), f.network, f.group, &chanio.Options{Multicast: chanio.Multicast{Interface: v0}})
					}
					var here, there *chanio.PacketConn
					var err error
					elsewhere(func() { there, err = join() })
					require.NoError(t, err)
					t.Cleanup(func() { there.Close() })
					if member {
						here, err = join()
						require.NoError(t, err)
						t.Cleanup(func() { here.Close() })
					}

					send := func(m chanio.Multicast, message string) {
						m.Interface, err = net.InterfaceByName("v0")
						require.NoError(t, err)
						s := packetConn(t, f.network, f.wildcard, &chanio.Options{Multicast: m}, false)
						require.NoError(t, s.Put(chanio.Packet{Addr: netip.MustParseAddrPort(f.group), Data: []byte(message)}))
						require.NoError(t, s.Close())
						for e := range s.Events() {
							require.NotEqual(t, chanio.EventFailed, e.Kind, "%v", e.Err)
						}
					}
					send(c.multicast, "message")
					send(chanio.Multicast{}, "end")
					if c.here && member {
						requireNext(t, here, "message")
					}
					if c.there {
						requireNext(t, there, "message")
					}
					if member {
						requireNext(t, here, "end")
					}
					requireNext(t, there, "end")
				})
			}
		}
	}
}
