package chanio_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// eachPath runs test with batches, where the system has them, and with one
// system call per datagram.
func eachPath(t *testing.T, test func(t *testing.T, oneByOne bool)) {
	t.Helper()
	t.Run("batches", func(t *testing.T) { test(t, false) })
	t.Run("one by one", func(t *testing.T) { test(t, true) })
}

// packetConn returns an endpoint that is closed with the test.
func packetConn(t testing.TB, network, address string, o *chanio.Options, oneByOne bool) *chanio.PacketConn {
	t.Helper()
	p, err := chanio.ListenPacketBy(t.Context(), network, address, o, oneByOne)
	if err != nil && address[0] == '[' {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// memPacketConn returns an endpoint over a socket in memory, closed with the
// test.
func memPacketConn(t *testing.T, ctx context.Context, o *chanio.Options) (*memSocket, *chanio.PacketConn) {
	t.Helper()
	m := newMemSocket()
	p := chanio.NewPacketConn(ctx, m, o)
	require.NoError(t, p.Err())
	t.Cleanup(func() { p.Abort(nil); <-p.Done() })
	return m, p
}

// nextPacket returns the next packet that p receives.
func nextPacket(t testing.TB, p *chanio.PacketConn) chanio.Packet {
	t.Helper()
	m, ok := await(t, p.Recv(), "a packet")
	require.True(t, ok, "Recv was closed: %v", p.Err())
	return m
}

// nextEvent returns the next event of a kind.
func nextEvent(t testing.TB, p *chanio.PacketConn, kind chanio.EventKind) chanio.Event {
	t.Helper()
	for e := range p.Events() {
		if e.Kind == kind {
			return e
		}
	}
	require.Failf(t, "no such event", "%v", kind)
	return chanio.Event{}
}

// somePeer is an address without a peer.
var somePeer = netip.MustParseAddrPort("192.0.2.7:7")

var packetFamilies = []struct{ name, network, address string }{
	{"IPv4", "udp4", "127.0.0.1:0"},
	{"IPv6", "udp6", "[::1]:0"},
}

var queueSizes = []struct {
	name  string
	queue int
}{{"no queues", -1}, {"queues of one", 1}, {"default queues", 0}}

func TestPacketsComeBackFromAnEchoWholeOnceAndInOrder(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			for _, q := range queueSizes {
				t.Run(f.name+", "+q.name, func(t *testing.T) {
					o := &chanio.Options{RecvQueue: q.queue, SendQueue: q.queue}
					server := packetConn(t, f.network, f.address, o, oneByOne)
					client := packetConn(t, f.network, f.address, o, oneByOne)
					go func() {
						for m := range server.Recv() {
							server.Put(m)
						}
					}()
					const n = 100 // few enough for any receive buffer
					go func() {
						for i := range n {
							client.Send() <- chanio.Packet{Addr: server.LocalAddr(), Data: fmt.Append(nil, i)}
						}
					}()
					for i := range n {
						m := nextPacket(t, client)
						require.Equal(t, fmt.Sprint(i), string(m.Data))
						require.Equal(t, len(m.Data), cap(m.Data))
						require.Equal(t, server.LocalAddr(), m.Addr)
						require.Equal(t, client.LocalAddr(), m.Local)
						require.Positive(t, m.IfIndex)
					}
				})
			}
		}
	})
}

func TestDatagramsOfEverySizeArriveWhole(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			for _, size := range []int{0, 1, 1472, 9000, 65507} {
				t.Run(fmt.Sprintf("%s, %d bytes", f.name, size), func(t *testing.T) {
					a, b := packetConn(t, f.network, f.address, nil, oneByOne), packetConn(t, f.network, f.address, nil, oneByOne)
					data := make([]byte, size)
					for i := range data {
						data[i] = byte(i * 7 >> 3)
					}
					require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: data}))
					require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: []byte("next")}))
					require.Equal(t, string(data), string(nextPacket(t, b).Data))
					require.Equal(t, "next", string(nextPacket(t, b).Data))
				})
			}
		}
	})
}

func TestADatagramTooLargeIsAnErrorThatNamesTheSizeAndEndsNothing(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			t.Run(f.name, func(t *testing.T) {
				a, b := packetConn(t, f.network, f.address, nil, oneByOne), packetConn(t, f.network, f.address, nil, oneByOne)
				limit := datagram.MaxPayload(b.LocalAddr().Addr())
				m := chanio.Packet{Addr: b.LocalAddr(), Data: make([]byte, limit+1)}

				err := a.Put(m)
				require.ErrorIs(t, err, chanio.ErrMessageTooLarge)
				require.ErrorContains(t, err, fmt.Sprint(limit+1))
				require.ErrorContains(t, err, b.LocalAddr().String())

				a.Send() <- m
				e := nextEvent(t, a, chanio.EventFailed)
				require.ErrorIs(t, e.Err, chanio.ErrMessageTooLarge)
				require.ErrorContains(t, e.Err, fmt.Sprint(limit+1))

				require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: []byte("fits")}))
				require.Equal(t, "fits", string(nextPacket(t, b).Data))
				require.NoError(t, a.Err())
			})
		}
	})
}

func TestAPacketThatCannotBeSentIsAnEventWithItsAddress(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		a, b := packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne), packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne)
		other := netip.MustParseAddrPort("[::1]:9")
		require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: []byte("before")}))
		require.NoError(t, a.Put(chanio.Packet{Addr: other, Data: []byte("IPv6 over IPv4")}))
		require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: []byte("after")}))
		require.Equal(t, "before", string(nextPacket(t, b).Data))
		require.Equal(t, "after", string(nextPacket(t, b).Data))

		err := nextEvent(t, a, chanio.EventFailed).Err
		op, ok := errors.AsType[*net.OpError](err)
		require.True(t, ok)
		require.Equal(t, other.String(), op.Addr.String())
		require.Regexp(t, `^chanio: write udp4 127\.0\.0\.1:\d+->\[::1\]:9: `, err.Error())

		require.ErrorIs(t, a.Close(), err)
		st := a.Stats()
		require.EqualValues(t, 2, st.MessagesSent)
		require.EqualValues(t, len("before")+len("after"), st.BytesSent)
		require.EqualValues(t, 1, st.MessagesDropped)
		require.EqualValues(t, len("IPv6 over IPv4"), st.Undelivered)
	})
}

func TestAPacketWithoutAnAddressIsAnError(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			t.Run(f.name, func(t *testing.T) {
				o := &chanio.Options{SendQueue: 4}
				p := packetConn(t, f.network, f.address, o, oneByOne)
				other := packetConn(t, f.network, f.address, o, oneByOne)
				port := other.LocalAddr().Port()
				for _, nowhere := range []netip.AddrPort{{}, netip.AddrPortFrom(netip.Addr{}, port)} {
					m := chanio.Packet{Addr: nowhere, Data: []byte("x")}
					require.ErrorContains(t, p.Put(m), "no address")
					p.Send() <- m
					require.ErrorContains(t, nextEvent(t, p, chanio.EventFailed).Err, "no address")
				}
				require.NoError(t, p.Put(chanio.Packet{Addr: other.LocalAddr(), Data: []byte("here")}))
				require.Equal(t, "here", string(nextPacket(t, other).Data), "and nothing before")
				require.ErrorContains(t, p.Flush(t.Context()), "no address") // and MessagesSent is exact
				require.EqualValues(t, 1, p.Stats().MessagesSent)
			})
		}
	})
}

func TestAPeerThatRefusesDoesNotEndAnEndpointThatOthersUse(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			t.Run(f.name, func(t *testing.T) {
				a, b := packetConn(t, f.network, f.address, nil, oneByOne), packetConn(t, f.network, f.address, nil, oneByOne)
				gone := packetConn(t, f.network, f.address, nil, oneByOne)
				require.NoError(t, gone.Close())
				for range 20 {
					require.NoError(t, a.Put(chanio.Packet{Addr: gone.LocalAddr(), Data: []byte("hello?")}))
					require.NoError(t, a.Put(chanio.Packet{Addr: b.LocalAddr(), Data: []byte("hello")}))
					require.Equal(t, "hello", string(nextPacket(t, b).Data))
				}
				require.NoError(t, a.Err())
			})
		}
	})
}

func TestARefusalIsCountedAndNotTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		for range 3 {
			m.fail <- &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("recvmsg", errUnreachable)}
		}
		m.in <- datagram.Packet{Addr: somePeer, Data: []byte("x")}
		require.Equal(t, "x", string(nextPacket(t, p).Data))
		require.EqualValues(t, 3, p.Stats().Refused)
		require.NoError(t, p.Err())
	})
}

func TestAnyOtherReadErrorIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		boom := errors.New("boom")
		m.fail <- boom
		_, open := <-p.Recv()
		require.False(t, open)
		require.ErrorIs(t, p.Err(), boom)
		require.ErrorContains(t, p.Err(), "chanio: read udp 192.0.2.1:1000: boom")
		<-p.Done()
	})
}

// wildcards are sockets that a peer reaches by an address of which they have
// several, and from where it does.
var wildcards = []struct{ name, network, wildcard, client, to string }{
	{"IPv4", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
	{"IPv4, another address", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"},
	{"IPv4 on both families", "udp", ":0", "127.0.0.1:0", "127.0.0.2"},
	{"IPv6", "udp6", "[::]:0", "[::1]:0", "::1"},
	{"IPv6 on both families", "udp", ":0", "[::1]:0", "::1"},
}

func TestAPacketSentBackAsItCameIsAnsweredFromWhereThePeerWroteTo(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, c := range wildcards {
			t.Run(c.name, func(t *testing.T) {
				server, client := packetConn(t, c.network, c.wildcard, nil, oneByOne), packetConn(t, "udp", c.client, nil, oneByOne)
				to := netip.AddrPortFrom(netip.MustParseAddr(c.to), server.LocalAddr().Port())
				require.NoError(t, client.Put(chanio.Packet{Addr: to, Data: []byte("where?")}))
				m := nextPacket(t, server)
				require.Equal(t, client.LocalAddr(), m.Addr, "unmapped")
				require.Equal(t, to, m.Local)
				require.Positive(t, m.IfIndex)
				require.NoError(t, server.Put(m))
				require.Equal(t, to, nextPacket(t, client).Addr)
			})
		}
	})
}

func TestAnEndpointOfAnEndedContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cause")
	cancel(cause)
	_, err := chanio.ListenPacket(ctx, "udp4", "127.0.0.1:0", nil)
	require.ErrorIs(t, err, cause)
}

func TestWhatAnEndpointCannotBeMadeOf(t *testing.T) {
	for _, c := range []struct {
		name, network, address string
		o                      *chanio.Options
		want                   string
	}{
		{"a network of streams", "tcp", "127.0.0.1:0", nil, "unknown network tcp"},
		{"an address of another family", "udp4", "[::1]:0", nil, "::1"},
		{"an address of another host", "udp4", "192.0.2.1:0", nil, "192.0.2.1"},
		{"no address", "udp", "nowhere", nil, "nowhere"},
		{"a group", "udp4", "239.1.2.3:5000", nil, "239.1.2.3:5000: a multicast group, which ListenMulticast is for"},
		{"a group, at a service", "udp4", "239.1.2.3:domain", nil, "ListenMulticast"},
		{"a group of IPv6", "udp6", "[ff02::1%lo]:5000", nil, "ListenMulticast"},
		{"a bad option", "udp4", "127.0.0.1:0", &chanio.Options{MaxMessage: -1}, "MaxMessage"},
		{"framing", "udp4", "127.0.0.1:0", &chanio.Options{Framing: chanio.Lines{}}, "Framing"},
		{"a bad interface", "udp4", "127.0.0.1:0", &chanio.Options{Multicast: chanio.Multicast{Interface: &net.Interface{Index: 1 << 20, Name: "nowhere0"}}}, "nowhere0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := chanio.ListenPacket(t.Context(), c.network, c.address, c.o)
			require.ErrorContains(t, err, c.want)
			require.Regexp(t, "^chanio: ", err.Error())
			require.Nil(t, p)
		})
	}
}

func TestFlushAndCloseReportFailedPackets(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		p := packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne)
		bad := chanio.Packet{Addr: netip.MustParseAddrPort("[::1]:9"), Data: []byte("x")}
		require.NoError(t, p.Put(bad))
		require.ErrorContains(t, p.Flush(t.Context()), "[::1]:9")
		require.NoError(t, p.Flush(t.Context()), "told once")
		nextEvent(t, p, chanio.EventFailed)
		require.NoError(t, p.Put(bad))
		p.Send() <- chanio.Packet{Addr: p.LocalAddr(), Data: make([]byte, 65508)}
		require.ErrorContains(t, p.Close(), "1 more")
		require.ErrorContains(t, p.Close(), "1 more")
		require.NoError(t, p.Err())
		require.EqualValues(t, 3, p.Stats().MessagesDropped)
		require.EqualValues(t, 1+1+65508, p.Stats().Undelivered)
	})
}

func TestAnEndpointHasOneGoroutineAndASecondOnceItSends(t *testing.T) {
	var all []*chanio.PacketConn
	for range 5 {
		all = append(all, packetConn(t, "udp4", "127.0.0.1:0", nil, false))
	}
	loops := func() (n int) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, p := range all {
			for _, loop := range []string{"readLoop", "writeLoop"} {
				n += strings.Count(string(stacks), fmt.Sprintf("(*PacketConn).%s(%p", loop, p))
			}
		}
		return n
	}
	for _, p := range all { // so that all are running: a new goroutine has no frame yet
		require.NoError(t, all[0].Put(chanio.Packet{Addr: p.LocalAddr()}))
		nextPacket(t, p)
	}
	require.Equal(t, 6, loops())
	for _, p := range all {
		require.NoError(t, p.Put(chanio.Packet{Addr: p.LocalAddr()}))
		nextPacket(t, p)
	}
	require.Equal(t, 10, loops())
}

func TestOptionsOfTheSocketAreSet(t *testing.T) {
	o := &chanio.Options{ReuseAddr: true, ReadBuffer: 1 << 16, WriteBuffer: 1 << 16}
	a := packetConn(t, "udp4", "127.0.0.1:0", o, false)
	b, err := chanio.ListenPacket(t.Context(), "udp4", a.LocalAddr().String(), o)
	require.NoError(t, err)
	require.NoError(t, b.Close())
	_, err = chanio.ListenPacket(t.Context(), "udp4", a.LocalAddr().String(), nil)
	require.ErrorContains(t, err, "chanio: listen udp4 "+a.LocalAddr().String())
}
