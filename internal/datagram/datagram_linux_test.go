package datagram

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

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

func TestKernelDropsAreCounted(t *testing.T) {
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

func TestARefusalOfSegmentsIsPerDestinationAndTemporary(t *testing.T) {
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

// awaitWaiting waits until datagrams of that size altogether wait in c's socket.
func awaitWaiting(t *testing.T, c *Conn, size int) {
	t.Helper()
	began := time.Now()
	var err error
	read := func(fd uintptr) bool {
		// Each look then goes on where the last one ended.
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEEK_OFF, 0); err != nil {
			return true
		}
		for buf := make([]byte, maxDatagram); size > 0 && err == nil; {
			var n int
			n, _, err = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
			size -= max(n, 0)
			if (err == unix.EINTR || err == unix.EAGAIN) && time.Since(began) < 30*time.Second {
				err = nil // the next one is on its way
			}
		}
		err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1))
		return true
	}
	require.NoError(t, c.raw.Read(read))
	require.NoError(t, err)
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
			awaitWaiting(t, b, 3*maxSegments*100)
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

func TestWriteNowSendsAllThatTheKernelTakesAtOnce(t *testing.T) {
	a, b := listen(t, "udp4", "127.0.0.1:0", Config{}), listen(t, "udp4", "127.0.0.1:0", Config{})
	require.True(t, a.WritesNow())
	ps := make([]Packet, 10)
	for i := range ps {
		ps[i] = Packet{Addr: b.LocalAddr(), Data: []byte{byte(i)}}
	}
	require.Equal(t, len(ps), a.WriteNow(ps))
	for i, p := range receive(t, b, len(ps)) {
		require.Equal(t, []byte{byte(i)}, p.Data)
	}
	nowhere := Packet{Addr: netip.MustParseAddrPort("[fe80::1%none]:1"), Data: []byte("x")}
	require.Zero(t, a.WriteNow([]Packet{nowhere, ps[0]}), "Write says why")
	require.NoError(t, a.Close())
	require.Zero(t, a.WriteNow(ps))
}

func TestOnlyWriteSendsWhereAnErrorMayBeOfAnEarlierDatagram(t *testing.T) {
	to := listen(t, "udp4", "127.0.0.1:0", Config{}).LocalAddr()
	for _, c := range []*Conn{dial(t, "udp4", to, Config{}), listen(t, "udp4", "127.0.0.1:0", Config{OneByOne: true})} {
		require.False(t, c.WritesNow())
		require.Zero(t, c.WriteNow([]Packet{{Addr: to, Data: []byte("x")}}))
	}
}
