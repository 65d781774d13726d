package datagram

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachEngine runs test with batches, where the system has them, and one by one.
func eachEngine(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	for _, c := range []struct {
		name string
		cfg  Config
	}{
		{"batches", Config{}},
		{"one by one", Config{OneByOne: true}},
	} {
		t.Run(c.name, func(t *testing.T) { test(t, c.cfg) })
	}
}

// families are the addresses that tests listen on.
var families = []struct{ name, network, address string }{
	{"IPv4", "udp4", "127.0.0.1:0"},
	{"IPv6", "udp6", "[::1]:0"},
}

// listen returns a Conn that is closed with the test.
func listen(t testing.TB, network, address string, cfg Config) *Conn {
	t.Helper()
	c, err := Listen(t.Context(), network, address, cfg)
	if err != nil && address[0] == '[' {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// dial returns a connected Conn that is closed with the test.
func dial(t testing.TB, network string, to netip.AddrPort, cfg Config) *Conn {
	t.Helper()
	udp, err := net.DialUDP(network, nil, net.UDPAddrFromAddrPort(to))
	require.NoError(t, err)
	c, err := New(udp, network, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// receive returns the next n packets of c.
func receive(t testing.TB, c *Conn, n int) (all []Packet) {
	t.Helper()
	require.NoError(t, c.Receive(func(ps []Packet) bool {
		all = append(all, ps...)
		return len(all) < n
	}))
	require.Len(t, all, n)
	return all
}

// write sends ps, all of which must succeed.
func write(t testing.TB, c *Conn, ps ...Packet) {
	t.Helper()
	n, err := c.Write(ps)
	require.NoError(t, err)
	require.Equal(t, len(ps), n)
}

// pattern returns n bytes that differ from those of another seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i + i>>8)
	}
	return b
}

func TestDatagramsOfAnySizeArriveWholeAndOnce(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, f := range families {
			for _, size := range []int{0, 1, 1472, 9000, MaxPayload4, MaxPayload6} {
				if f.name == "IPv4" && size > MaxPayload4 {
					continue
				}
				t.Run(fmt.Sprintf("%s, %d bytes", f.name, size), func(t *testing.T) {
					a, b := listen(t, f.network, f.address, cfg), listen(t, f.network, f.address, cfg)
					// The test sends as many at once as any receive buffer holds. The
					// last one shows that nothing came twice.
					count := max(1, min(8, 50_000/max(size, 1)))
					var sent []Packet
					for i := range count {
						sent = append(sent, Packet{Addr: b.LocalAddr(), Data: pattern(i, size)})
					}
					write(t, a, sent...)
					got := receive(t, b, count)
					write(t, a, Packet{Addr: b.LocalAddr(), Data: []byte("last")})
					require.Equal(t, "last", string(receive(t, b, 1)[0].Data))

					for i := range got {
						require.Equal(t, string(sent[i].Data), string(got[i].Data), "datagram %d", i)
						require.Equal(t, a.LocalAddr(), got[i].Addr)
						require.Equal(t, b.LocalAddr(), got[i].Local)
						require.NotNil(t, got[i].Data)
						require.Equal(t, len(got[i].Data), cap(got[i].Data))
					}
				})
			}
		}
	})
}

func TestOneByteMoreThanPossibleFailsAloneAndSaysWhich(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, f := range families {
			t.Run(f.name, func(t *testing.T) {
				a, b := listen(t, f.network, f.address, cfg), listen(t, f.network, f.address, cfg)
				limit := MaxPayload(b.LocalAddr().Addr())
				ps := []Packet{
					{Addr: b.LocalAddr(), Data: []byte("before")},
					{Addr: b.LocalAddr(), Data: make([]byte, limit+1)},
					{Addr: b.LocalAddr(), Data: []byte("after")},
				}
				n, err := a.Write(ps)
				require.Error(t, err)
				require.Equal(t, 1, n)
				write(t, a, ps[2])
				got := receive(t, b, 2)
				require.Equal(t, "before", string(got[0].Data))
				require.Equal(t, "after", string(got[1].Data))
			})
		}
	})
}

func TestMixedSizesToMixedPeersArriveInEachPeersOrder(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		a := listen(t, "udp4", "127.0.0.1:0", cfg)
		peers := []*Conn{listen(t, "udp4", "127.0.0.1:0", cfg), listen(t, "udp4", "127.0.0.1:0", cfg)}
		sizes := []int{10, 10, 10, 4, 10, 0, 0, 7, 7, 12, 1, 1400, 1400, 3}
		var ps []Packet
		want := make([][]string, len(peers))
		for i := range 200 {
			// There are runs of several lengths to one peer, for GSO to find.
			to := i / (1 + i%5) % len(peers)
			data := pattern(i, sizes[i%len(sizes)])
			ps = append(ps, Packet{Addr: peers[to].LocalAddr(), Data: data})
			want[to] = append(want[to], string(data))
		}
		write(t, a, ps...)
		for i, peer := range peers {
			var got []string
			for _, p := range receive(t, peer, len(want[i])) {
				got = append(got, string(p.Data))
			}
			require.Equal(t, want[i], got)
		}
	})
}

func TestAWildcardSocketSaysWhereToAndAnswersFromThere(t *testing.T) {
	lo := loopback(t)
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, c := range []struct{ name, network, wildcard, client, to string }{
			{"IPv4", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
			{"IPv4, another address", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"},
			{"IPv4 on both families", "udp", ":0", "127.0.0.1:0", "127.0.0.2"},
			{"IPv6", "udp6", "[::]:0", "[::1]:0", "::1"},
			{"IPv6 on both families", "udp", ":0", "[::1]:0", "::1"},
		} {
			t.Run(c.name, func(t *testing.T) {
				server, client := listen(t, c.network, c.wildcard, cfg), listen(t, "udp", c.client, cfg)
				to := netip.AddrPortFrom(netip.MustParseAddr(c.to), server.LocalAddr().Port())
				write(t, client, Packet{Addr: to, Data: []byte("question")})
				got := receive(t, server, 1)[0]
				require.Equal(t, client.LocalAddr(), got.Addr, "unmapped")
				require.Equal(t, to, got.Local)
				require.Equal(t, lo.Index, got.IfIndex)

				write(t, server, got, got)
				for _, answer := range receive(t, client, 2) {
					require.Equal(t, to, answer.Addr)
				}
			})
		}
	})
}

func TestALocalAddressThatCannotBeSentFromIsIgnored(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, c := range []struct{ name, wildcard, peer, local string }{
			{"any address", "0.0.0.0:0", "127.0.0.1:0", "0.0.0.0"},
			{"a group", "0.0.0.0:0", "127.0.0.1:0", "239.1.2.3"},
			{"the broadcast address", "0.0.0.0:0", "127.0.0.1:0", "255.255.255.255"},
			{"a network's broadcast address", "0.0.0.0:0", "127.0.0.1:0", "127.255.255.255"},
			{"another host", "0.0.0.0:0", "127.0.0.1:0", "192.0.2.99"},
			{"another family", "0.0.0.0:0", "127.0.0.1:0", "::1"},
			{"another host, IPv6", "[::]:0", "[::1]:0", "2001:db8::99"},
			{"no interface's address", "[::]:0", "[::1]:0", "fe80::99"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a, b := listen(t, "udp", c.wildcard, cfg), listen(t, "udp", c.peer, cfg)
				p := Packet{Addr: b.LocalAddr(), Local: netip.AddrPortFrom(netip.MustParseAddr(c.local), 1), Data: []byte("x")}
				write(t, a, p, p, p)
				for _, got := range receive(t, b, 3) {
					require.Equal(t, a.LocalAddr().Port(), got.Addr.Port())
				}
			})
		}
	})
}

func TestAnIPv4GroupCannotBeSentToFromAnIPv6Address(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		c := listen(t, "udp6", "[::1]:0", cfg)
		_, err := c.Write([]Packet{{Addr: netip.MustParseAddrPort("239.1.2.3:9"), IfIndex: 1, Data: []byte("x")}})
		require.Error(t, err)
	})
}

func TestAMappedDestinationIsItsIPv4Address(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		a, b := listen(t, "udp4", "127.0.0.1:0", cfg), listen(t, "udp4", "127.0.0.1:0", cfg)
		mapped := netip.AddrPortFrom(netip.AddrFrom16(b.LocalAddr().Addr().As16()), b.LocalAddr().Port())
		write(t, a, Packet{Addr: mapped, Data: []byte("x")})
		require.Equal(t, a.LocalAddr(), receive(t, b, 1)[0].Addr)
	})
}

func TestARefusalIsCountedAndEndsNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("net lets Windows keep refusals to itself: go.dev/issue/5834")
	}
	eachEngine(t, func(t *testing.T, cfg Config) {
		server, err := Listen(t.Context(), "udp4", "127.0.0.1:0", cfg)
		require.NoError(t, err)
		client := dial(t, "udp4", server.LocalAddr(), cfg)
		require.NoError(t, server.Close())

		for range 10 { // each but the first meets the refusal of the one before
			write(t, client, Packet{Data: []byte("anybody there?")})
		}
		again := listen(t, "udp4", server.LocalAddr().String(), cfg)
		write(t, client, Packet{Data: []byte("now?")})
		got := receive(t, again, 1)[0]
		write(t, again, Packet{Addr: got.Addr, Data: []byte("yes")})
		require.Equal(t, "yes", string(receive(t, client, 1)[0].Data))
		require.Positive(t, client.Refused())
	})
}

func TestAWriteToAnotherAddressFamilyIsAnError(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		for _, to := range []string{"[::1]:9", "[fe80::1%nowhere]:9"} {
			c := listen(t, "udp4", "127.0.0.1:0", cfg)
			_, err := c.Write([]Packet{{Addr: netip.MustParseAddrPort(to), Data: []byte("x")}})
			require.Error(t, err)
		}
	})
}

func TestAPacketToAnUnknownZoneIsAnErrorAndIsNotSent(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		c, here := listen(t, "udp6", "[::1]:0", cfg), listen(t, "udp6", "[::1]:0", cfg)
		port := here.LocalAddr().Port()
		for _, addr := range []string{"ff02::7:2%nowhere0", "fe80::7%nowhere0"} {
			ps := []Packet{
				{Addr: here.LocalAddr(), Data: []byte("before")},
				{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), port), Data: []byte("x")},
				{Addr: here.LocalAddr(), Data: []byte("after")},
			}
			n, err := c.Write(ps)
			require.ErrorContains(t, err, `zone "nowhere0"`)
			require.Equal(t, 1, n)
			write(t, c, ps[2:]...)
			got := receive(t, here, 2)
			require.Equal(t, "before", string(got[0].Data))
			require.Equal(t, "after", string(got[1].Data))
		}
	})
}

func TestStopReceivingEndsAReceiveAndLeavesTheSending(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		a, b := listen(t, "udp4", "127.0.0.1:0", cfg), listen(t, "udp4", "127.0.0.1:0", cfg)
		ended := make(chan error)
		go func() { ended <- a.Receive(func([]Packet) bool { return true }) }()
		a.StopReceiving()
		require.NoError(t, <-ended)
		require.NoError(t, a.Receive(func([]Packet) bool { return true }), "later ones too")
		write(t, a, Packet{Addr: b.LocalAddr(), Data: []byte("x")})
		receive(t, b, 1)
	})
}

func TestCloseEndsAReceiveWithErrClosed(t *testing.T) {
	eachEngine(t, func(t *testing.T, cfg Config) {
		a := listen(t, "udp4", "127.0.0.1:0", cfg)
		ended := make(chan error)
		go func() { ended <- a.Receive(func([]Packet) bool { return true }) }()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-ended, net.ErrClosed)
		_, err := a.Write([]Packet{{Addr: a.LocalAddr()}})
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestASharedPortIsAnOption(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		shares bool
	}{
		{"plain", Config{}, false},
		{"ReuseAddr", Config{ReuseAddr: true}, true},
		{"ReusePort", Config{ReusePort: true}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := Listen(t.Context(), "udp4", "127.0.0.1:0", c.cfg)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skipf("not on this system: %v", err)
			}
			require.NoError(t, err)
			defer a.Close()
			b, err := Listen(t.Context(), "udp4", a.LocalAddr().String(), c.cfg)
			require.Equal(t, c.shares, err == nil, "%v", err)
			if err == nil {
				require.NoError(t, b.Close())
			}
		})
	}
}

// loopback returns the loopback interface.
func loopback(t testing.TB) *net.Interface {
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

// FuzzOneByOneControlMessages takes any bytes as the control messages of a
// datagram.
func FuzzOneByOneControlMessages(f *testing.F) {
	for _, c := range []struct {
		v6       bool
		to, from string
	}{
		{false, "127.0.0.1:9", "127.0.0.2:1"},
		{true, "[::1]:9", "[::1]:1"},
		{true, "[fe80::1]:9", "[fe80::2]:1"},
	} {
		path := Packet{Addr: netip.MustParseAddrPort(c.to), Local: netip.MustParseAddrPort(c.from), IfIndex: 1}
		controls := (&Conn{v6: c.v6, wildcard: true}).control(&path)
		require.NotEmpty(f, controls)
		f.Add(c.v6, controls)
	}
	bound := netip.MustParseAddrPort("127.0.0.1:1")
	f.Fuzz(func(t *testing.T, v6 bool, controls []byte) {
		c := &Conn{v6: v6, local: bound}
		local, _ := c.parseControl(controls)
		require.True(t, local.IsValid())
		require.False(t, local.Addr().Is4In6())
		require.Equal(t, bound.Port(), local.Port())
	})
}
