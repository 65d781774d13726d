package datagram

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"example.com/chanio/internal/test/memory"
	"example.com/chanio/internal/test/netns"
)

// withoutGSO makes c send one message per datagram.
func withoutGSO(c *Conn) {
	if e, ok := c.engine.(*batched); ok {
		e.limits.off = true
	}
}

func TestWhatTheKernelDroppedIsCounted(t *testing.T) {
	a := listen(t, "udp4", "127.0.0.1:0", Config{})
	b := listen(t, "udp4", "127.0.0.1:0", Config{ReadBuffer: 4096}) // less than a batch
	withoutGSO(a)
	const flood = 500
	for range flood {
		write(t, a, Packet{Addr: b.LocalAddr(), Data: make([]byte, 100)})
	}
	got := 0
	count := func(ps []Packet) (end bool) {
		for _, p := range ps {
			if len(p.Data) == 0 {
				return true
			}
			got++
		}
		return false
	}
	// The first batch makes room. What comes after it brings the count.
	require.NoError(t, b.Receive(func(ps []Packet) bool { count(ps); return false }))
	write(t, a, Packet{Addr: b.LocalAddr()})
	require.NoError(t, b.Receive(func(ps []Packet) bool { return !count(ps) }))
	require.Less(t, got, flood)
	require.EqualValues(t, flood-got, b.KernelDropped())
}

func TestTheKernelsCountOfDropsMayWrapAround(t *testing.T) {
	r := batchReader{conn: new(Conn)}
	for _, count := range []uint32{1<<32 - 2, 1<<32 - 1, 3, 3} {
		r.noteDropped(count)
	}
	require.Equal(t, int64(1<<32+3), r.conn.KernelDropped())
}

func TestSegmentsAreOnePathAndOneSizeButForTheLast(t *testing.T) {
	const x, y = "127.0.0.1:1", "127.0.0.2:1"
	type to struct {
		addr string
		size int
	}
	for _, c := range []struct {
		name    string
		packets []to
		largest int
		want    int
	}{
		{"one", []to{{x, 5}}, 100, 1},
		{"equal ones", []to{{x, 5}, {x, 5}, {x, 5}}, 100, 3},
		{"a shorter one is the last", []to{{x, 5}, {x, 4}, {x, 4}}, 100, 2},
		{"a longer one is the next", []to{{x, 5}, {x, 6}}, 100, 1},
		{"an empty one stays alone", []to{{x, 0}, {x, 0}}, 100, 1},
		{"an empty one is no last", []to{{x, 5}, {x, 0}}, 100, 1},
		{"another peer", []to{{x, 5}, {y, 5}}, 100, 1},
		{"too large a segment", []to{{x, 101}, {x, 101}}, 100, 1},
		{"as large as can be", []to{{x, 100}, {x, 100}}, 100, 2},
		{"no GSO", []to{{x, 1}, {x, 1}}, 0, 1},
		{"more bytes than a datagram holds", []to{{x, 30000}, {x, 30000}, {x, 30000}}, 65507, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ps []Packet
			for _, p := range c.packets {
				ps = append(ps, Packet{Addr: netip.MustParseAddrPort(p.addr), Data: make([]byte, p.size)})
			}
			require.Equal(t, c.want, segments(ps, c.largest, math.MaxInt))
		})
	}
	many := make([]Packet, 2*maxSegments)
	for i := range many {
		many[i] = Packet{Addr: netip.MustParseAddrPort(x), Data: []byte("x")}
	}
	require.Equal(t, maxSegments, segments(many, 100, math.MaxInt))
}

func TestARefusalOfSegmentsIsTheDestinationsAndNotForGood(t *testing.T) {
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for _, c := range []struct {
		name    string
		err     error
		segment int
		want    int
	}{
		{"no checksums on the device", unix.EIO, 100, 0},
		{"larger than Ethernet's frames", unix.EMSGSIZE, 3000, safeSegment},
		{"larger than a smaller MTU", unix.EMSGSIZE, 1400, 1399},
		{"as older kernels say it", unix.EINVAL, 1400, 1399},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l segmentLimits
			require.True(t, refusesSegments(fmt.Errorf("sendmmsg: %w", c.err)))
			l.refuse(here, c.segment, c.err)
			require.Equal(t, c.want, l.of(here))
			require.Equal(t, maxSegmented, l.of(there))
			l.refuse(here, 9000, unix.EMSGSIZE)
			require.Equal(t, c.want, l.of(here), "it does not rise")
			l.since = l.since.Add(-limitsValid)
			require.Equal(t, maxSegmented, l.of(here), "the path may have changed")
		})
	}
}

func TestLimitsOfSegmentsAreBounded(t *testing.T) {
	var l segmentLimits
	addr := netip.MustParseAddr("10.0.0.1")
	for range 3 * maxLimits {
		l.refuse(addr, 1400, unix.EMSGSIZE)
		require.LessOrEqual(t, len(l.byAddr), maxLimits)
		require.Equal(t, 1399, l.of(addr))
		addr = addr.Next()
	}
}

func TestSegmentsGoOutAsOneAndComeInAsOne(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			a, b := listen(t, f.network, f.address, Config{}), listen(t, f.network, f.address, Config{})
			if a.engine.(*batched).limits.off {
				t.Skip("the kernel has no GSO")
			}
			var ps []Packet
			for i := range 3 * maxSegments {
				ps = append(ps, Packet{Addr: b.LocalAddr(), Data: pattern(i, 100)})
			}
			write(t, a, ps...)
			batches := 0
			got := 0
			require.NoError(t, b.Receive(func(ps []Packet) bool {
				batches++
				got += len(ps)
				return got < 3*maxSegments
			}))
			require.Equal(t, 1, batches, "without GRO a batch holds %d datagrams", readMessages)
			require.Equal(t, maxSegmented, a.engine.(*batched).limits.of(b.LocalAddr().Addr()), "nothing was refused")
		})
	}
}

func TestSegmentsThatOneRouteRefusesGoOnByOthers(t *testing.T) {
	netns.Enter(t, "ip link set lo up; ip route add local 10.7.8.1 dev lo mtu 1300 table local")
	a, b := listen(t, "udp4", "0.0.0.0:0", Config{}), listen(t, "udp4", "0.0.0.0:0", Config{})
	w := &a.engine.(*batched).batchWriter
	if w.limits.off {
		t.Skip("the kernel has no GSO")
	}
	narrow, wide := netip.MustParseAddr("10.7.8.1"), netip.MustParseAddr("127.0.0.1")
	for range 2 {
		for _, to := range []netip.Addr{narrow, wide} {
			var ps []Packet
			for i := range 5 {
				ps = append(ps, Packet{Addr: netip.AddrPortFrom(to, b.LocalAddr().Port()), Data: pattern(i, 1400)})
			}
			write(t, a, ps...)
			for i, p := range receive(t, b, len(ps)) {
				require.Equal(t, ps[i].Data, p.Data)
			}
		}
		require.Equal(t, 1399, w.limits.of(narrow))
		require.Equal(t, maxSegmented, w.limits.of(wide))
	}
}

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

func TestAnIdleConnHoldsNoBuffers(t *testing.T) {
	const conns = 64
	before := memory.Live()
	ended := make(chan error, conns)
	from := listen(t, "udp4", "127.0.0.1:0", Config{})
	all := make([]*Conn, conns)
	for i := range all {
		c := listen(t, "udp4", "127.0.0.1:0", Config{})
		all[i] = c
		got := make(chan struct{}, 1)
		go func() { ended <- c.Receive(func([]Packet) bool { got <- struct{}{}; return true }) }()
		write(t, from, Packet{Addr: c.LocalAddr(), Data: []byte("wake up")})
		<-got
	}
	// A few buffers may be in transit through the pool, but not one each.
	require.Less(t, memory.Live()-before, int64(conns*readMessages*maxDatagram/4))
	for _, c := range all {
		c.StopReceiving()
		require.NoError(t, <-ended)
	}
}

func TestControlMessagesThatAUserAskedForCutOffNoneOfOurs(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			a, b := listen(t, f.network, f.address, Config{}), listen(t, f.network, f.address, Config{})
			require.NoError(t, b.raw.Control(func(fd uintptr) {
				for _, option := range []struct{ name, value int }{
					{unix.SO_TIMESTAMPNS, 1},
					{unix.SO_TIMESTAMPING, unix.SOF_TIMESTAMPING_RX_SOFTWARE | unix.SOF_TIMESTAMPING_SOFTWARE},
				} {
					require.NoError(t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option.name, option.value))
				}
			}))
			var ps []Packet
			for i := range 10 {
				ps = append(ps, Packet{Addr: b.LocalAddr(), Data: pattern(i, 100)})
			}
			write(t, a, ps...)
			for i, p := range receive(t, b, len(ps)) {
				require.Equal(t, ps[i].Data, p.Data)
				require.Equal(t, b.LocalAddr(), p.Local)
				require.Positive(t, p.IfIndex)
			}
			require.Zero(t, b.KernelDropped())
		})
	}
}

func TestAMessageOfWhichNobodyKnowsHowManyDatagramsItIsIsDropped(t *testing.T) {
	for _, test := range []struct {
		name      string
		gro, told bool // GRO is on, and its note was not cut off
		want      int
	}{{"unknown", true, false, 0}, {"told before the cut", true, true, 3}, {"without GRO", false, false, 1}} {
		t.Run(test.name, func(t *testing.T) {
			in := inboxes.Get().(*inbox)
			in.used = 1
			defer in.free()
			in.msgs[0].length = 300
			in.msgs[0].header.Flags = unix.MSG_CTRUNC
			used := 0
			if test.told {
				data, rest := putControl(in.controls[0][:], unix.SOL_UDP, unix.UDP_GRO, 4)
				binary.NativeEndian.PutUint32(data, 100)
				used = maxControl - len(rest)
			}
			in.msgs[0].header.SetControllen(used)
			r := batchReader{conn: new(Conn), gro: test.gro}
			b := r.unpack(in.msgs[:1], in)
			require.Len(t, b.packets, test.want)
			require.Equal(t, test.want == 0, r.conn.KernelDropped() == 1)
			b.free()
		})
	}
}

func FuzzControlMessages(f *testing.F) {
	o := new(outbox)
	path, rest := o.controls[0][:], []byte(nil)
	rest = putPath(path, true, netip.MustParseAddr("127.0.0.1"), 1)
	f.Add(path[:len(path)-len(rest)])
	rest = putPath(path, false, netip.MustParseAddr("fe80::1"), 1)
	f.Add(path[:len(path)-len(rest)])
	data, rest := putControl(path, unix.SOL_UDP, unix.UDP_GRO, 4)
	data[0] = 64
	f.Add(path[:len(path)-len(rest)])
	f.Fuzz(func(t *testing.T, controls []byte) {
		var aligned [maxControl]byte
		n := copy(aligned[:], controls)
		var m message
		m.header.SetControllen(n)
		r := batchReader{conn: new(Conn)}
		nt := r.parse(&m, aligned[:])
		total := 0
		for part := range nt.parts(1000) {
			total += part
		}
		require.Equal(t, 1000, total)
	})
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
func TestAGroupIsLeftWhereItWasJoinedAlthoughTheRouteHasMoved(t *testing.T) {
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
