package chanio_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/datagram"
)

// A wrapper hides all but the methods of a net.PacketConn.
type wrapper struct{ net.PacketConn }

// eachGiven runs test with a socket of the kernel's and with one that has only
// the methods of a net.PacketConn.
func eachGiven(t *testing.T, test func(t *testing.T, c net.PacketConn)) {
	for _, g := range []struct {
		name string
		wrap func(net.PacketConn) net.PacketConn
	}{
		{"a UDPConn", func(c net.PacketConn) net.PacketConn { return c }},
		{"a wrapper", func(c net.PacketConn) net.PacketConn { return wrapper{c} }},
	} {
		t.Run(g.name, func(t *testing.T) {
			c, err := net.ListenPacket("udp", "127.0.0.1:0")
			require.NoError(t, err)
			test(t, g.wrap(c))
		})
	}
}

func TestAPacketConnOverAnyNetPacketConn(t *testing.T) {
	eachGiven(t, func(t *testing.T, c net.PacketConn) {
		p := chanio.NewPacketConn(t.Context(), c, nil)
		peer := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
		require.Equal(t, c.LocalAddr().String(), p.LocalAddr().String())
		for _, size := range []int{0, 1, 1472, 65507} {
			require.NoError(t, peer.Put(chanio.Packet{Addr: p.LocalAddr(), Data: make([]byte, size)}))
			m := nextPacket(t, p)
			require.Len(t, m.Data, size)
			require.Equal(t, peer.LocalAddr(), m.Addr)
			require.Equal(t, p.LocalAddr(), m.Local)
			require.NoError(t, p.Put(m)) // as it came
			require.Len(t, nextPacket(t, peer).Data, size)
		}
		require.NoError(t, p.Close())
		_, err := c.WriteTo([]byte("x"), c.LocalAddr())
		require.ErrorIs(t, err, net.ErrClosed, "it was the endpoint's")
	})
}

func TestAUDPListenerOverAnyNetPacketConn(t *testing.T) {
	eachGiven(t, func(t *testing.T, c net.PacketConn) {
		l := chanio.ServePeers(t.Context(), c, nil)
		defer l.Close()
		require.Equal(t, c.LocalAddr().String(), l.Addr().String())
		for range 3 {
			client := connectTo(t, l)
			go sendBack(beganWith(t, l, client))
			require.Equal(t, "more", ask(t, client, "more"))
		}
		require.Equal(t, 3, l.Len())
		require.ErrorIs(t, l.Restart(t.Context()), errors.ErrUnsupported)
		require.NoError(t, l.Close())
		_, err := c.WriteTo([]byte("x"), c.LocalAddr())
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// beganWith lets client begin a session of l, and receives the message that
// began it.
func beganWith(t *testing.T, l *chanio.Listener, client net.Conn) *chanio.Session {
	t.Helper()
	_, err := client.Write([]byte("hello"))
	require.NoError(t, err)
	s := nextSession(t, l)
	require.Equal(t, "hello", nextMessage(t, s))
	return s
}

func TestAnInMemoryServerEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		m, n := newMemSocket(), newMemSocket()
		l := chanio.ServePeers(ctx, m, nil)
		p := chanio.NewPacketConn(ctx, n, nil)
		s := m.session(1, l)
		m.answer(t, s)
		n.in <- datagram.Packet{Addr: somePeer, Data: []byte("x")}
		require.Equal(t, "x", string((<-p.Recv()).Data))
		cause := errors.New("enough")
		cancel(cause)
		<-l.Done()
		<-p.Done()
		require.Equal(t, cause, l.Err())
		require.Equal(t, cause, p.Err())
	})
}

func TestAnEndpointThatNeverStartedKeepsItsErr(t *testing.T) {
	for range 1000 {
		p := chanio.NewPacketConn(t.Context(), nil, nil)
		require.ErrorContains(t, p.Err(), "nil net.PacketConn")
		<-p.Done()
	}
}

func TestServingBadInputEndsWithThatErr(t *testing.T) {
	for _, c := range []struct {
		name string
		conn net.PacketConn
		o    *chanio.Options
		want string
	}{
		{"nothing", nil, nil, "nil net.PacketConn"},
		{"bad options", wrapper{nil}, &chanio.Options{MaxLag: -1}, "MaxLag"},
		{"a framing", wrapper{nil}, &chanio.Options{Framing: chanio.Lines{}}, "Framing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := func() net.PacketConn {
				if c.conn == nil {
					return nil
				}
				conn, err := net.ListenPacket("udp", "127.0.0.1:0")
				require.NoError(t, err)
				return conn
			}
			p := chanio.NewPacketConn(t.Context(), open(), c.o)
			<-p.Done()
			require.ErrorContains(t, p.Err(), c.want)
			require.ErrorIs(t, p.Put(chanio.Packet{Addr: netip.MustParseAddrPort("127.0.0.1:9")}), chanio.ErrClosed)
			_, ok := <-p.Recv()
			require.False(t, ok)
			l := chanio.ServePeers(t.Context(), open(), c.o)
			<-l.Done()
			require.ErrorContains(t, l.Err(), c.want)
			_, ok = <-l.Sessions()
			require.False(t, ok)
		})
	}
}

func TestControlIsCalledBeforeADatagramSocketIsBound(t *testing.T) {
	var calls []string
	fail := error(nil)
	o := &chanio.Options{Control: func(network, address string, c syscall.RawConn) error {
		require.NotNil(t, c)
		calls = append(calls, network+" "+address)
		return fail
	}}
	open := func() error {
		l, err := chanio.Listen(t.Context(), "udp", "127.0.0.1:0", o)
		if err == nil {
			l.Close()
		}
		p, err2 := chanio.ListenPacket(t.Context(), "udp4", "127.0.0.1:0", o)
		if err2 == nil {
			p.Close()
		}
		g, err3 := chanio.ListenMulticast(t.Context(), "udp4", "239.255.77.1:45454", &chanio.Options{Control: o.Control,
			Multicast: chanio.Multicast{Interface: loopbackInterface(t)}})
		if err3 == nil {
			g.Close()
		}
		if err == nil || err2 == nil || err3 == nil {
			return errors.Join(err, err2, err3)
		}
		return err
	}
	require.NoError(t, open())
	group := "udp4 239.255.77.1:45454"
	if !bindsGroups {
		group = "udp4 0.0.0.0:45454"
	}
	require.Equal(t, []string{"udp4 127.0.0.1:0", "udp4 127.0.0.1:0", group}, calls)
	fail = errors.New("no")
	require.ErrorIs(t, open(), fail)
}

func TestADeadlineThatASocketCameWithEndsNothing(t *testing.T) {
	eachGiven(t, func(t *testing.T, c net.PacketConn) {
		require.NoError(t, c.SetDeadline(time.Now().Add(-time.Second)))
		p := chanio.NewPacketConn(t.Context(), c, &chanio.Options{WriteTimeout: -1})
		peer := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
		require.NoError(t, p.Put(chanio.Packet{Addr: peer.LocalAddr(), Data: []byte("ping")}))
		require.NoError(t, p.Flush(t.Context()))
		ping := nextPacket(t, peer)
		require.NoError(t, peer.Put(ping))
		require.Equal(t, "ping", string(nextPacket(t, p).Data))
		require.NoError(t, p.Close())
	})
}

func TestATimeoutThatIsNotTheEndpointsEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := memPacketConn(t, t.Context(), nil)
		m.fail <- os.ErrDeadlineExceeded
		require.NoError(t, m.SetReadDeadline(time.Now().Add(-time.Second)))
		m.in <- datagram.Packet{Addr: somePeer, Data: []byte("x")}
		require.Equal(t, "x", string(nextPacket(t, p).Data))
		require.NoError(t, p.Close())
	})
}

func TestGroupsOfAnEndpointThatHasEndedAreErrClosed(t *testing.T) {
	group := netip.MustParseAddr("239.255.0.1")
	requireClosed := func(t *testing.T, p *chanio.PacketConn) {
		t.Helper()
		require.ErrorIs(t, p.JoinGroup(group, nil), chanio.ErrClosed)
		require.ErrorIs(t, p.JoinSource(group, somePeer.Addr(), nil), chanio.ErrClosed)
		require.ErrorIs(t, p.LeaveGroup(group, nil), chanio.ErrClosed)
	}
	requireClosed(t, chanio.NewPacketConn(t.Context(), nil, nil))
	synctest.Test(t, func(t *testing.T) {
		_, p := memPacketConn(t, t.Context(), nil)
		require.NotErrorIs(t, p.JoinGroup(group, nil), chanio.ErrClosed)
		require.NoError(t, p.Close())
		requireClosed(t, p)
	})
}
