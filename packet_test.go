package chanio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/datagram"
)

// eachPath runs test with batches, where there are any, and with a system call
// a datagram.
func eachPath(t *testing.T, test func(t *testing.T, oneByOne bool)) {
	t.Helper()
	t.Run("batches", func(t *testing.T) { test(t, false) })
	t.Run("one by one", func(t *testing.T) { test(t, true) })
}

// packetConn returns an endpoint that is closed with the test.
func packetConn(t testing.TB, network, address string, o *Options, oneByOne bool) *PacketConn {
	t.Helper()
	p, err := listenPacket(t.Context(), network, address, o, oneByOne)
	if err != nil && address[0] == '[' {
		t.Skipf("no IPv6 here: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// memPacketConn returns an endpoint over a socket in memory, closed with the
// test.
func memPacketConn(t *testing.T, ctx context.Context, o *Options) (*memSocket, *PacketConn) {
	t.Helper()
	set, err := o.resolve(false)
	require.NoError(t, err)
	m := newMemSocket()
	conn, err := datagram.New(m, "udp", datagramConfig(set, false))
	require.NoError(t, err)
	p, err := newPacketConn(ctx, "udp", conn, set)
	require.NoError(t, err)
	t.Cleanup(func() { p.Abort(nil); <-p.Done() })
	return m, p
}

// nextPacket returns the next packet that p receives.
func nextPacket(t testing.TB, p *PacketConn) Packet {
	t.Helper()
	m, ok := <-p.Recv()
	require.True(t, ok, "Recv was closed: %v", p.Err())
	return m
}

// nextEvent returns the next event of that kind.
func nextEvent(t testing.TB, p *PacketConn, kind EventKind) Event {
	t.Helper()
	for e := range p.Events() {
		if e.Kind == kind {
			return e
		}
	}
	require.Failf(t, "no such event", "%v", kind)
	return Event{}
}

// somePeer is an address that nobody is at.
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
					o := &Options{RecvQueue: q.queue, SendQueue: q.queue}
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
							client.Send() <- Packet{Addr: server.LocalAddr(), Data: fmt.Append(nil, i)}
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
					require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: data}))
					require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: []byte("next")}))
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
				m := Packet{Addr: b.LocalAddr(), Data: make([]byte, limit+1)}

				err := a.Put(m)
				require.ErrorIs(t, err, ErrMessageTooLarge)
				require.ErrorContains(t, err, fmt.Sprint(limit+1))
				require.ErrorContains(t, err, b.LocalAddr().String())

				a.Send() <- m
				e := nextEvent(t, a, EventFailed)
				require.ErrorIs(t, e.Err, ErrMessageTooLarge)
				require.ErrorContains(t, e.Err, fmt.Sprint(limit+1))

				require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: []byte("fits")}))
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
		require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: []byte("before")}))
		require.NoError(t, a.Put(Packet{Addr: other, Data: []byte("IPv6 over IPv4")}))
		require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: []byte("after")}))
		require.Equal(t, "before", string(nextPacket(t, b).Data))
		require.Equal(t, "after", string(nextPacket(t, b).Data))

		err := nextEvent(t, a, EventFailed).Err
		op, ok := errors.AsType[*net.OpError](err)
		require.True(t, ok)
		require.Equal(t, other.String(), op.Addr.String())
		require.Regexp(t, `^chanio: write udp4 127\.0\.0\.1:\d+->\[::1\]:9: `, err.Error())

		require.NoError(t, a.Close())
		st := a.Stats()
		require.EqualValues(t, 2, st.MessagesSent)
		require.EqualValues(t, len("before")+len("after"), st.BytesSent)
		require.Zero(t, st.Undelivered)
	})
}

func TestAPacketWithoutAnAddressIsAnError(t *testing.T) {
	p := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
	require.ErrorContains(t, p.Put(Packet{Data: []byte("x")}), "no address")
	p.Send() <- Packet{Data: []byte("x")}
	require.ErrorContains(t, nextEvent(t, p, EventFailed).Err, "no address")
}

func TestAPeerThatRefusesDoesNotEndAnEndpointThatOthersUse(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, f := range packetFamilies {
			t.Run(f.name, func(t *testing.T) {
				a, b := packetConn(t, f.network, f.address, nil, oneByOne), packetConn(t, f.network, f.address, nil, oneByOne)
				gone := packetConn(t, f.network, f.address, nil, oneByOne)
				require.NoError(t, gone.Close())
				for range 20 {
					require.NoError(t, a.Put(Packet{Addr: gone.LocalAddr(), Data: []byte("hello?")}))
					require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: []byte("hello")}))
					require.Equal(t, "hello", string(nextPacket(t, b).Data))
				}
				require.NoError(t, a.Err())
			})
		}
	})
}

func TestARefusalIsCountedAndNotTheEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the error has another name there")
	}
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		for range 3 {
			m.fail <- &net.OpError{Op: "read", Net: "udp", Err: os.NewSyscallError("recvmsg", syscall.ECONNREFUSED)}
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

func TestAPacketSentBackAsItCameIsAnsweredFromWhereThePeerWroteTo(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, c := range []struct{ name, network, wildcard, client, to string }{
			{"IPv4", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"},
			{"IPv4, another address", "udp4", "0.0.0.0:0", "127.0.0.1:0", "127.0.0.2"},
			{"IPv4 on both families", "udp", ":0", "127.0.0.1:0", "127.0.0.2"},
			{"IPv6", "udp6", "[::]:0", "[::1]:0", "::1"},
			{"IPv6 on both families", "udp", ":0", "[::1]:0", "::1"},
		} {
			t.Run(c.name, func(t *testing.T) {
				server, client := packetConn(t, c.network, c.wildcard, nil, oneByOne), packetConn(t, "udp", c.client, nil, oneByOne)
				to := netip.AddrPortFrom(netip.MustParseAddr(c.to), server.LocalAddr().Port())
				require.NoError(t, client.Put(Packet{Addr: to, Data: []byte("where?")}))
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

func TestCloseFlushesWhatWasAccepted(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		for _, q := range queueSizes {
			t.Run(q.name, func(t *testing.T) {
				b := packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne)
				a := packetConn(t, "udp4", "127.0.0.1:0", &Options{SendQueue: q.queue}, oneByOne)
				const n = 50
				for i := range n {
					require.NoError(t, a.Put(Packet{Addr: b.LocalAddr(), Data: []byte{byte(i)}}))
				}
				require.NoError(t, a.Close())
				require.NoError(t, a.Err())
				require.EqualValues(t, n, a.Stats().MessagesSent)
				for i := range n {
					require.Equal(t, []byte{byte(i)}, nextPacket(t, b).Data)
				}
			})
		}
	})
}

func TestAClosedSendMeansClose(t *testing.T) {
	eachPath(t, func(t *testing.T, oneByOne bool) {
		a, b := packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne), packetConn(t, "udp4", "127.0.0.1:0", nil, oneByOne)
		send := a.Send()
		send <- Packet{Addr: b.LocalAddr(), Data: []byte("last")}
		close(send)
		require.Equal(t, "last", string(nextPacket(t, b).Data))
		<-a.Done()
		require.NoError(t, a.Err())
		require.ErrorIs(t, a.Put(Packet{Addr: b.LocalAddr()}), ErrClosed)
		require.NoError(t, a.Close())
	})
}

func TestPutOnASendThatAUserClosedIsAnErrorAndNoPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("x")}))
		synctest.Wait() // the writer waits for the socket
		close(p.Send())
		require.ErrorIs(t, p.Put(Packet{Addr: somePeer}), ErrClosed)
		require.Equal(t, "x", string((<-m.out).Data))
		<-p.Done()
		require.NoError(t, p.Err())
	})
}

func TestTheEndOfAnEndpoint(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		name string
		end  func(p *PacketConn, cancel context.CancelCauseFunc)
		want error
	}{
		{"Close", func(p *PacketConn, _ context.CancelCauseFunc) { p.Close() }, nil},
		{"Abort", func(p *PacketConn, _ context.CancelCauseFunc) { p.Abort(cause) }, cause},
		{"Abort of nil", func(p *PacketConn, _ context.CancelCauseFunc) { p.Abort(nil) }, ErrClosed},
		{"the context", func(_ *PacketConn, cancel context.CancelCauseFunc) { cancel(cause) }, cause},
		{"the first counts", func(p *PacketConn, _ context.CancelCauseFunc) { p.Abort(cause); p.Abort(nil); p.Close() }, cause},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachPath(t, func(t *testing.T, oneByOne bool) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				p, err := listenPacket(ctx, "udp4", "127.0.0.1:0", nil, oneByOne)
				require.NoError(t, err)
				require.NoError(t, p.Err())
				pctx := p.Context()
				require.NoError(t, p.Put(Packet{Addr: p.LocalAddr(), Data: []byte("to itself")}))
				nextPacket(t, p)

				c.end(p, cancel)

				for range p.Recv() { // closed, once Err is set
				}
				requireEnd := func(got error) {
					t.Helper()
					if c.want == nil {
						require.NoError(t, got)
						return
					}
					require.ErrorIs(t, got, c.want)
				}
				requireEnd(p.Err())
				<-p.Done()
				requireEnd(p.Err())
				var kinds []EventKind
				for e := range p.Events() {
					kinds = append(kinds, e.Kind)
					if e.Kind == EventStopped {
						requireEnd(e.Err)
					}
				}
				require.Equal(t, []EventKind{EventStarted, EventStopped}, kinds)
				require.Error(t, pctx.Err())
				if c.want != nil {
					requireEnd(context.Cause(pctx))
				}
				require.Equal(t, context.Cause(pctx), context.Cause(p.Context()))

				require.ErrorIs(t, p.Put(Packet{Addr: p.LocalAddr()}), ErrClosed)
				require.ErrorIs(t, p.Put(Packet{Addr: p.LocalAddr()}), net.ErrClosed)
				require.ErrorIs(t, p.JoinGroup(netip.MustParseAddr("239.1.1.1"), nil), ErrClosed)
				require.NoError(t, p.Close(), "idempotent")
				require.NoError(t, p.Flush(t.Context()), "nothing was lost")
			})
		})
	}
}

func TestAnEndpointIsOverWhenItsContextWas(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cause")
	cancel(cause)
	_, err := ListenPacket(ctx, "udp4", "127.0.0.1:0", nil)
	require.ErrorIs(t, err, cause)
}

func TestWhatAnEndpointCannotBeMadeOf(t *testing.T) {
	for _, c := range []struct {
		name, network, address string
		o                      *Options
		want                   string
	}{
		{"a network of streams", "tcp", "127.0.0.1:0", nil, "unknown network tcp"},
		{"an address of another family", "udp4", "[::1]:0", nil, "::1"},
		{"an address of another host", "udp4", "192.0.2.1:0", nil, "192.0.2.1"},
		{"no address", "udp", "nowhere", nil, "nowhere"},
		{"a group", "udp4", "239.1.2.3:5000", nil, "ListenMulticast"},
		{"a bad option", "udp4", "127.0.0.1:0", &Options{MaxMessage: -1}, "MaxMessage"},
		{"framing", "udp4", "127.0.0.1:0", &Options{Framing: Lines{}}, "Framing"},
		{"a bad interface", "udp4", "127.0.0.1:0", &Options{Multicast: Multicast{Interface: &net.Interface{Index: 1 << 20, Name: "nowhere0"}}}, "nowhere0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ListenPacket(t.Context(), c.network, c.address, c.o)
			require.ErrorContains(t, err, c.want)
			require.Regexp(t, "^chanio: ", err.Error())
			require.Nil(t, p)
		})
	}
}

func TestCloseGivesUpWhenItsTimeIsUp(t *testing.T) {
	for _, q := range queueSizes {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), &Options{SendQueue: q.queue, WriteTimeout: -1})
				accepted := max(q.queue, 0) + 1 // one is with the writer
				if q.queue == 0 {
					accepted = defaultQueue + 1
				}
				for range accepted {
					require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("12345")}))
					synctest.Wait()
				}
				began := time.Now()
				err := p.Close()
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				require.ErrorContains(t, err, "CloseTimeout of 5s")
				require.Equal(t, err, p.Err())
				require.Equal(t, defaultCloseTimeout, time.Since(began))
				require.EqualValues(t, 5*accepted, p.Stats().Undelivered)
				require.ErrorIs(t, p.Flush(t.Context()), ErrClosed)
				require.Equal(t, err, p.Close(), "idempotent")
				_ = m
			})
		})
	}
}

func TestCloseWaitsForTheKernelAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		for i := range 3 {
			require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte{byte(i)}}))
		}
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		synctest.Wait()
		require.ErrorIs(t, p.Put(Packet{Addr: somePeer}), ErrClosed, "nothing new")
		for i := range 3 {
			time.Sleep(time.Second)
			require.Equal(t, []byte{byte(i)}, (<-m.out).Data)
		}
		require.NoError(t, <-closed)
		require.NoError(t, p.Err())
		require.Zero(t, p.Stats().Undelivered)
		require.EqualValues(t, 3, p.Stats().BytesSent)
	})
}

func TestWithoutACloseTimeoutCloseWaitsAsLongAsItTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &Options{CloseTimeout: -1, WriteTimeout: -1})
		require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("x")}))
		closed := make(chan error)
		go func() { closed <- p.Close() }()
		time.Sleep(time.Hour)
		<-m.out
		require.NoError(t, <-closed)
	})
}

func TestTheContextsEndDoesNotWaitForTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, p := memPacketConn(t, ctx, nil)
		for range 3 {
			require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("12345")}))
		}
		go p.Close()
		time.Sleep(time.Second)
		began := time.Now()
		cancel()
		<-p.Done()
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, p.Err(), context.Canceled)
		require.EqualValues(t, 15, p.Stats().Undelivered)
		require.Zero(t, p.Stats().BytesPending)
	})
}

func TestTheEndReleasesAPutThatWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(p *PacketConn)
	}{
		{"Close", func(p *PacketConn) { p.Close() }},
		{"Abort", func(p *PacketConn) { p.Abort(nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := memPacketConn(t, t.Context(), &Options{SendQueue: -1})
				require.NoError(t, p.Put(Packet{Addr: somePeer}))
				put := make(chan error)
				go func() { put <- p.Put(Packet{Addr: somePeer, Data: []byte("no room")}) }()
				synctest.Wait()
				go c.end(p)
				require.ErrorIs(t, <-put, ErrClosed)
				<-p.Done()
				require.Zero(t, p.Stats().Undelivered, "it was not accepted")
			})
		})
	}
}

func TestAPacketThatTheKernelDoesNotTakeFailsAfterWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &Options{SendQueue: -1})
		began := time.Now()
		require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("lost")}))
		require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("sent")}), "waits for room, which there is then")
		require.Equal(t, defaultWriteTimeout, time.Since(began))
		e := nextEvent(t, p, EventFailed)
		require.ErrorIs(t, e.Err, os.ErrDeadlineExceeded)
		require.ErrorContains(t, e.Err, somePeer.String())
		require.Equal(t, "sent", string((<-m.out).Data))
		require.NoError(t, p.Err())
	})
}

func TestWhoDoesNotReceiveStopsTheReading(t *testing.T) {
	for _, q := range queueSizes {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), &Options{RecvQueue: q.queue})
				room := max(q.queue, 0) + 1 // one is with the reader
				if q.queue == 0 {
					room = defaultQueue + 1
				}
				for i := range room {
					m.in <- datagram.Packet{Addr: somePeer, Data: []byte{byte(i)}}
				}
				synctest.Wait()
				select {
				case m.in <- datagram.Packet{}:
					require.Fail(t, "it reads on")
				default:
				}
				for i := range room {
					require.Equal(t, []byte{byte(i)}, nextPacket(t, p).Data)
				}
				m.in <- datagram.Packet{Addr: somePeer, Data: []byte("again")}
				require.Equal(t, "again", string(nextPacket(t, p).Data))
				require.EqualValues(t, room+1, p.Stats().MessagesReceived)
			})
		})
	}
}

func TestWhatWasReadAndNotReceivedIsCountedAsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), &Options{RecvQueue: -1})
		m.in <- datagram.Packet{Addr: somePeer, Data: []byte("nobody receives it")}
		synctest.Wait()
		require.NoError(t, p.Close())
		_, open := <-p.Recv()
		require.False(t, open)
		require.EqualValues(t, 1, p.Stats().MessagesDropped)
		require.Zero(t, p.Stats().MessagesReceived)
	})
}

func TestFlushReturnsWhenAllThatWasAcceptedIsWithTheKernel(t *testing.T) {
	for _, q := range queueSizes {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, p := memPacketConn(t, t.Context(), &Options{SendQueue: q.queue, WriteTimeout: -1})
				require.NoError(t, p.Flush(t.Context()), "nothing was accepted")
				go func() {
					for range 3 {
						time.Sleep(time.Second)
						<-m.out
					}
				}()
				began := time.Now()
				for range 3 {
					require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("12345")}))
				}
				require.NoError(t, p.Flush(t.Context()))
				require.Equal(t, 3*time.Second, time.Since(began))
				require.EqualValues(t, 15, p.Stats().BytesSent, "exact")
			})
		})
	}
}

func TestFlushEndsWithItsContextAndWithTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := memPacketConn(t, t.Context(), &Options{WriteTimeout: -1})
		require.NoError(t, p.Put(Packet{Addr: somePeer, Data: []byte("x")}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Flush(ctx), context.DeadlineExceeded)
		flushed := make(chan error)
		go func() { flushed <- p.Flush(t.Context()) }()
		synctest.Wait()
		p.Abort(nil)
		require.ErrorIs(t, <-flushed, ErrClosed)
	})
}

func TestFailedPacketsAreNothingThatFlushWaitsFor(t *testing.T) {
	p := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
	require.NoError(t, p.Put(Packet{Addr: netip.MustParseAddrPort("[::1]:9"), Data: []byte("x")}))
	require.NoError(t, p.Flush(t.Context()))
	nextEvent(t, p, EventFailed)
}

func TestAnEndpointHasOneGoroutineAndASecondOnceItSends(t *testing.T) {
	var all []*PacketConn
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
		require.NoError(t, all[0].Put(Packet{Addr: p.LocalAddr()}))
		nextPacket(t, p)
	}
	require.Equal(t, 6, loops())
	for _, p := range all {
		require.NoError(t, p.Put(Packet{Addr: p.LocalAddr()}))
		nextPacket(t, p)
	}
	require.Equal(t, 10, loops())
}

func TestOptionsOfTheSocketAreSet(t *testing.T) {
	o := &Options{ReuseAddr: true, ReadBuffer: 1 << 16, WriteBuffer: 1 << 16}
	a := packetConn(t, "udp4", "127.0.0.1:0", o, false)
	b, err := ListenPacket(t.Context(), "udp4", a.LocalAddr().String(), o)
	require.NoError(t, err)
	require.NoError(t, b.Close())
	_, err = ListenPacket(t.Context(), "udp4", a.LocalAddr().String(), nil)
	require.ErrorContains(t, err, "chanio: listen udp4 "+a.LocalAddr().String())
}
