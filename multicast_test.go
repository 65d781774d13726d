package chanio_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// loopbackInterface returns the loopback interface.
func loopbackInterface(t testing.TB) *net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, ifi := range all {
		if ifi.Flags&net.FlagLoopback != 0 {
			return &ifi
		}
	}
	t.Skip("no loopback interface")
	return nil
}

// A groupFamily is a kind of group, and the address to send to it from.
type groupFamily struct{ name, network, one, two, sender string }

var groupFamilies = []groupFamily{
	{"IPv4", "udp4", "239.255.7.1", "239.255.7.2", "127.0.0.1:0"},
	{"IPv6, of the interface", "udp6", "ff01::7:1", "ff01::7:2", "[::1]:0"},
	{"IPv6, of the link", "udp6", "ff02::7:1", "ff02::7:2", "[::1]:0"},
	{"IPv6, of the site", "udp6", "ff05::7:1", "ff05::7:2", "[::1]:0"},
}

// eachGroup runs test for each family on each path.
func eachGroup(t *testing.T, test func(t *testing.T, f groupFamily, oneByOne bool)) {
	t.Helper()
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range groupFamilies {
			t.Run(f.name, func(t *testing.T) {
				if f.network == "udp6" {
					withMulticast6(t)
				}
				test(t, f, oneByOne)
			})
		}
	})
}

// freePort returns a port that is free at the moment: a group needs a known
// one.
func freePort(t testing.TB) uint16 {
	t.Helper()
	p := packetConn(t, "udp", ":0", nil, false)
	require.NoError(t, p.Close())
	return p.LocalAddr().Port()
}

// onLoopback returns o with its groups on the loopback interface.
func onLoopback(t testing.TB, o chanio.Options) *chanio.Options {
	t.Helper()
	o.Multicast.Interface = loopbackInterface(t)
	return &o
}

// groupConn returns an endpoint that has joined group on the loopback
// interface.
func groupConn(t testing.TB, network, group string, port uint16, o chanio.Options, oneByOne bool) *chanio.PacketConn {
	t.Helper()
	p, err := chanio.ListenMulticastBy(t.Context(), network, net.JoinHostPort(group, fmt.Sprint(port)), onLoopback(t, o), oneByOne)
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// A groupSender sends strings to groups on one port.
type groupSender struct {
	t testing.TB
	*chanio.PacketConn
	port uint16
}

func newGroupSender(t testing.TB, network, address string, port uint16, oneByOne bool) groupSender {
	t.Helper()
	return groupSender{t, packetConn(t, network, address, onLoopback(t, chanio.Options{}), oneByOne), port}
}

func (s groupSender) send(group, message string) {
	s.t.Helper()
	to := netip.AddrPortFrom(netip.MustParseAddr(group), s.port)
	require.NoError(s.t, s.Put(chanio.Packet{Addr: to, Data: []byte(message)}))
	require.NoError(s.t, s.Flush(s.t.Context()))
}

// requireNext requires that message is the next that p receives. On the
// loopback interface nothing overtakes, so nothing else came before it.
func requireNext(t testing.TB, p *chanio.PacketConn, message string) chanio.Packet {
	t.Helper()
	m := nextPacket(t, p)
	require.Equal(t, message, string(m.Data))
	return m
}

func TestAGroupsMembersReceiveWhatIsSentToItUntilTheyLeave(t *testing.T) {
	lo := loopbackInterface(t)
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		one, two := netip.MustParseAddr(f.one), netip.MustParseAddr(f.two)
		port := freePort(t)
		// It is bound to the port of two groups and a member of both. Group two
		// tells it that nothing comes from group one any more.
		p := packetConn(t, f.network, fmt.Sprintf(":%d", port), nil, oneByOne)
		require.NoError(t, p.JoinGroup(one, lo))
		require.NoError(t, p.JoinGroup(two, lo))
		s := newGroupSender(t, f.network, f.sender, port, oneByOne)

		s.send(f.one, "one")
		s.send(f.two, "two")
		m := requireNext(t, p, "one")
		require.Equal(t, one, m.Local.Addr().WithZone(""))
		require.Equal(t, s.LocalAddr().Port(), m.Addr.Port())
		require.Equal(t, lo.Index, m.IfIndex)
		require.Equal(t, two, requireNext(t, p, "two").Local.Addr().WithZone(""))

		require.NoError(t, p.LeaveGroup(one, lo))
		s.send(f.one, "nobody's")
		s.send(f.two, "two again")
		requireNext(t, p, "two again")

		require.NoError(t, p.JoinGroup(one, lo))
		s.send(f.one, "one again")
		requireNext(t, p, "one again")
	})
}

func TestTwoGroupsOnOnePortDoNotMix(t *testing.T) {
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		port := freePort(t)
		one := groupConn(t, f.network, f.one, port, chanio.Options{}, oneByOne)
		two := groupConn(t, f.network, f.two, port, chanio.Options{}, oneByOne)
		s := newGroupSender(t, f.network, f.sender, port, oneByOne)
		for i := range 3 {
			s.send(f.one, fmt.Sprint("one ", i))
			s.send(f.two, fmt.Sprint("two ", i))
		}
		for i := range 3 {
			requireNext(t, one, fmt.Sprint("one ", i))
			requireNext(t, two, fmt.Sprint("two ", i))
		}
	})
}

func TestAWildcardEndpointReceivesOnlyTheGroupsThatItJoined(t *testing.T) {
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		port := freePort(t)
		groupConn(t, f.network, f.one, port, chanio.Options{}, oneByOne) // the host is a member
		p := packetConn(t, f.network, fmt.Sprintf(":%d", port), &chanio.Options{ReuseAddr: true}, oneByOne)
		require.NoError(t, p.JoinGroup(netip.MustParseAddr(f.two), loopbackInterface(t)))
		s := newGroupSender(t, f.network, f.sender, port, oneByOne)
		s.send(f.one, "one")
		s.send(f.two, "two")
		requireNext(t, p, "two")
	})
}

func TestSeveralEndpointsShareAGroupsPortAndAllReceive(t *testing.T) {
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		port := freePort(t)
		var members []*chanio.PacketConn
		for range 5 {
			members = append(members, groupConn(t, f.network, f.one, port, chanio.Options{}, oneByOne))
		}
		s := newGroupSender(t, f.network, f.sender, port, oneByOne)
		const n = 20
		to := netip.AddrPortFrom(netip.MustParseAddr(f.one), port)
		for i := range n { // not one by one: GSO must find some
			require.NoError(t, s.Put(chanio.Packet{Addr: to, Data: []byte{byte(i)}}))
		}
		for _, p := range members {
			for i := range n {
				requireNext(t, p, string([]byte{byte(i)}))
			}
		}
	})
}

func TestAGroupsEndpointReceivesNothingElse(t *testing.T) {
	if !bindsGroups {
		t.Skip("no binding to a group's address on this system")
	}
	eachPath(t, func(t *testing.T, oneByOne bool) {
		port := freePort(t)
		p := groupConn(t, "udp4", "239.255.7.1", port, chanio.Options{}, oneByOne)
		require.Equal(t, netip.AddrPortFrom(netip.MustParseAddr("239.255.7.1"), port), p.LocalAddr())
		s := newGroupSender(t, "udp4", "127.0.0.1:0", port, oneByOne)
		s.send("127.0.0.1", "to the port")
		s.send("239.255.7.1", "to the group")
		requireNext(t, p, "to the group")
	})
}

func TestASourceSpecificJoinFilters(t *testing.T) {
	lo := loopbackInterface(t)
	eachPath(t, func(t *testing.T, oneByOne bool) {
		const group = "232.7.7.1"
		from := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
		senders := func(t *testing.T, port uint16) (all []groupSender) {
			for _, address := range from {
				all = append(all, newGroupSender(t, "udp4", address+":0", port, oneByOne))
			}
			return all
		}
		t.Run("Options.Multicast.Source", func(t *testing.T) {
			port := freePort(t)
			o := chanio.Options{Multicast: chanio.Multicast{Source: netip.MustParseAddr(from[1])}}
			p := groupConn(t, "udp4", group, port, o, oneByOne)
			for i, s := range senders(t, port) {
				s.send(group, from[i])
			}
			m := requireNext(t, p, from[1])
			require.Equal(t, from[1], m.Addr.Addr().String())
			senders(t, port)[1].send(group, "once more")
			requireNext(t, p, "once more")
		})
		t.Run("JoinSource", func(t *testing.T) {
			port := freePort(t)
			p := packetConn(t, "udp4", fmt.Sprintf(":%d", port), nil, oneByOne)
			g := netip.MustParseAddr(group)
			require.NoError(t, p.JoinSource(g, netip.MustParseAddr(from[0]), lo))
			require.NoError(t, p.JoinSource(g, netip.MustParseAddr(from[2]), lo))
			all := senders(t, port)
			for i, s := range all {
				s.send(group, from[i])
			}
			requireNext(t, p, from[0])
			requireNext(t, p, from[2])

			require.NoError(t, p.LeaveGroup(g, lo), "for all sources")
			for _, s := range all {
				s.send(group, "nobody's")
			}
			require.NoError(t, p.JoinGroup(g, lo))
			all[1].send(group, "last")
			requireNext(t, p, "last")
		})
	})
}

func TestAGroupThatCannotBeJoinedIsAnErrorThatSaysWhy(t *testing.T) {
	nowhere := &net.Interface{Index: 1 << 20, Name: "nowhere0"}
	lo := loopbackInterface(t)
	for _, c := range []struct {
		name, network, group string
		multicast            chanio.Multicast
		want                 string
	}{
		{"no group", "udp4", "127.0.0.1:5000", chanio.Multicast{}, "not a multicast group"},
		{"no IPv6 group", "udp6", "[::1]:5000", chanio.Multicast{}, "not a multicast group"},
		{"no address", "udp4", "localhost:5000", chanio.Multicast{}, "localhost"},
		{"no port", "udp4", "239.255.7.1", chanio.Multicast{}, "missing port"},
		{"port 0", "udp4", "239.255.7.1:0", chanio.Multicast{}, "port 0"},
		{"a service of no name", "udp4", "239.255.7.1:no-such-service", chanio.Multicast{}, "no-such-service"},
		{"an IPv6 group over IPv4", "udp4", "[ff02::7:1]:5000", chanio.Multicast{}, "not of udp4"},
		{"an IPv4 group over IPv6", "udp6", "239.255.7.1:5000", chanio.Multicast{}, "not of udp6"},
		{"a network of streams", "tcp", "239.255.7.1:5000", chanio.Multicast{}, "unknown network tcp"},
		{"a bad interface", "udp4", "239.255.7.1:5000", chanio.Multicast{Interface: nowhere}, "nowhere0"},
		{"a bad interface, IPv6", "udp6", "[ff05::7:1]:5000", chanio.Multicast{Interface: nowhere}, "nowhere0"},
		{"a bad zone", "udp6", "[ff02::7:1%nowhere0]:5000", chanio.Multicast{}, "nowhere0"},
		{"a source of another family", "udp4", "239.255.7.1:5000", chanio.Multicast{Interface: lo, Source: netip.MustParseAddr("::1")}, "::1"},
		{"a source that is a group", "udp4", "239.255.7.1:5000", chanio.Multicast{Interface: lo, Source: netip.MustParseAddr("239.1.1.1")}, "239.1.1.1"},
		{"a TTL that is none", "udp4", "239.255.7.1:5000", chanio.Multicast{TTL: 256}, "TTL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := chanio.ListenMulticast(t.Context(), c.network, c.group, &chanio.Options{Multicast: c.multicast})
			require.ErrorContains(t, err, c.want)
			require.Regexp(t, "^chanio: ", err.Error())
			require.Nil(t, p)
		})
	}

	p := packetConn(t, "udp4", "0.0.0.0:0", nil, false)
	group, source := netip.MustParseAddr("239.255.7.1"), netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"JoinGroup of no group", func() error { return p.JoinGroup(source, lo) }, "127.0.0.1 is not a multicast group"},
		{"JoinGroup of no address", func() error { return p.JoinGroup(netip.Addr{}, lo) }, "not a multicast group"},
		{"JoinGroup of another family", func() error { return p.JoinGroup(netip.MustParseAddr("ff02::7:1"), lo) }, "family"},
		{"JoinGroup on a bad interface", func() error { return p.JoinGroup(group, nowhere) }, "nowhere0"},
		{"JoinGroup in a bad zone", func() error { return p.JoinGroup(netip.MustParseAddr("ff02::7:1%nowhere0"), nil) }, "nowhere0"},
		{"JoinSource of no source", func() error { return p.JoinSource(group, netip.Addr{}, lo) }, "no source"},
		{"JoinSource on a bad interface", func() error { return p.JoinSource(group, source, nowhere) }, "nowhere0"},
		{"LeaveGroup of one not joined", func() error { return p.LeaveGroup(group, lo) }, "239.255.7.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.do()
			require.ErrorContains(t, err, c.want)
			require.Regexp(t, "^chanio: (join|leave) udp4 ", err.Error())
			require.NoError(t, p.Err(), "the endpoint lives on")
		})
	}
}

func TestAGroupsZoneIsItsInterface(t *testing.T) {
	withMulticast6(t)
	lo := loopbackInterface(t)
	port := freePort(t)
	p, err := chanio.ListenMulticast(t.Context(), "udp6", fmt.Sprintf("[ff02::7:1%%%s]:%d", lo.Name, port), nil)
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	s := packetConn(t, "udp6", "[::1]:0", nil, false)
	to := netip.AddrPortFrom(netip.MustParseAddr("ff02::7:1%"+lo.Name), port)
	require.NoError(t, s.Put(chanio.Packet{Addr: to, Data: []byte("x")}))
	m := requireNext(t, p, "x")
	require.Equal(t, to, m.Local, "with the zone")
	require.Equal(t, to, p.LocalAddr())
}

func TestADualEndpointJoinsGroupsOfBothFamilies(t *testing.T) {
	if !bindsGroups {
		t.Skip("a socket of both families joins IPv6 groups only on this system")
	}
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		p := packetConn(t, "udp", ":0", nil, oneByOne)
		if !p.LocalAddr().Addr().Is6() {
			t.Skip("no IPv6 here")
		}
		require.NoError(t, p.JoinGroup(netip.MustParseAddr(f.one), loopbackInterface(t)))
		s := newGroupSender(t, f.network, f.sender, p.LocalAddr().Port(), oneByOne)
		s.send(f.one, f.name)
		require.Equal(t, netip.MustParseAddr(f.one), requireNext(t, p, f.name).Local.Addr().WithZone(""))
	})
}

func TestOneEndpointSendsToGroupsOfBothFamilies(t *testing.T) {
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		port := freePort(t)
		p := groupConn(t, f.network, f.one, port, chanio.Options{}, oneByOne)
		s := newGroupSender(t, "udp", ":0", port, oneByOne)
		s.send(f.one, "by the option")
		requireNext(t, p, "by the option")

		to := netip.AddrPortFrom(netip.MustParseAddr(f.one), port)
		plain := packetConn(t, "udp", ":0", nil, oneByOne)
		require.NoError(t, plain.Put(chanio.Packet{Addr: to, IfIndex: loopbackInterface(t).Index, Data: []byte("by IfIndex")}))
		requireNext(t, p, "by IfIndex")
	})
}

func TestAMemberAnswersTheSenderFromItsOwnAddress(t *testing.T) {
	eachGroup(t, func(t *testing.T, f groupFamily, oneByOne bool) {
		port := freePort(t)
		p := packetConn(t, f.network, fmt.Sprintf(":%d", port), nil, oneByOne)
		require.NoError(t, p.JoinGroup(netip.MustParseAddr(f.one), loopbackInterface(t)))
		s := newGroupSender(t, f.network, f.sender, port, oneByOne)
		s.send(f.one, "who is there?")
		require.NoError(t, p.Put(nextPacket(t, p)))
		answer := requireNext(t, s.PacketConn, "who is there?")
		require.Equal(t, s.LocalAddr().Addr(), answer.Addr.Addr(), "a group is no source")
		require.Equal(t, port, answer.Addr.Port())
	})
}
