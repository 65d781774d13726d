package chanio

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/chanio/internal/datagram"
)

// A wrapper hides all but the methods of a net.PacketConn.
type wrapper struct{ net.PacketConn }

// A socketInMemory is a memSocket as a net.PacketConn.
type socketInMemory struct{ *memSocket }

func (m socketInMemory) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, _, from, err := m.ReadMsgUDPAddrPort(b, nil)
	return n, net.UDPAddrFromAddrPort(from), err
}

func (m socketInMemory) WriteTo(b []byte, to net.Addr) (int, error) {
	n, _, err := m.WriteMsgUDPAddrPort(b, nil, to.(*net.UDPAddr).AddrPort())
	return n, err
}

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
		p := NewPacketConn(t.Context(), c, nil)
		peer := packetConn(t, "udp4", "127.0.0.1:0", nil, false)
		require.Equal(t, c.LocalAddr().String(), p.LocalAddr().String())
		for _, size := range []int{0, 1, 1472, 65507} {
			require.NoError(t, peer.Put(Packet{Addr: p.LocalAddr(), Data: make([]byte, size)}))
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
		l := ServePeers(t.Context(), c, nil)
		defer l.Close()
		require.Equal(t, c.LocalAddr().String(), l.Addr().String())
		for range 3 {
			client := connectTo(t, l)
			go echo(beganWith(t, l, client))
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
func beganWith(t *testing.T, l *Listener, client net.Conn) *Session {
	t.Helper()
	_, err := client.Write([]byte("hello"))
	require.NoError(t, err)
	s := nextSession(t, l)
	require.Equal(t, "hello", nextMessage(t, s))
	return s
}

func TestWhatIsServedInMemoryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		m, n := newMemSocket(), newMemSocket()
		l := ServePeers(ctx, socketInMemory{m}, nil)
		p := NewPacketConn(ctx, socketInMemory{n}, nil)
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

func TestWhatCannotBeServedHasEndedWithThatErr(t *testing.T) {
	for _, c := range []struct {
		name string
		conn net.PacketConn
		o    *Options
		want string
	}{
		{"nothing", nil, nil, "nil net.PacketConn"},
		{"bad options", wrapper{nil}, &Options{MaxLag: -1}, "MaxLag"},
		{"a framing", wrapper{nil}, &Options{Framing: Lines{}}, "Framing"},
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
			p := NewPacketConn(t.Context(), open(), c.o)
			<-p.Done()
			require.ErrorContains(t, p.Err(), c.want)
			require.ErrorIs(t, p.Put(Packet{Addr: netip.MustParseAddrPort("127.0.0.1:9")}), ErrClosed)
			_, ok := <-p.Recv()
			require.False(t, ok)
			l := ServePeers(t.Context(), open(), c.o)
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
	o := &Options{Control: func(network, address string, c syscall.RawConn) error {
		require.NotNil(t, c)
		calls = append(calls, network+" "+address)
		return fail
	}}
	open := func() error {
		l, err := Listen(t.Context(), "udp", "127.0.0.1:0", o)
		if err == nil {
			l.Close()
		}
		p, err2 := ListenPacket(t.Context(), "udp4", "127.0.0.1:0", o)
		if err2 == nil {
			p.Close()
		}
		g, err3 := ListenMulticast(t.Context(), "udp4", "239.255.77.1:45454", &Options{Control: o.Control,
			Multicast: Multicast{Interface: loopbackInterface(t)}})
		if err3 == nil {
			g.Close()
		}
		if err == nil || err2 == nil || err3 == nil {
			return errors.Join(err, err2, err3)
		}
		return err
	}
	require.NoError(t, open())
	require.Equal(t, []string{"udp4 127.0.0.1:0", "udp4 127.0.0.1:0", "udp4 239.255.77.1:45454"}, calls)
	fail = errors.New("no")
	require.ErrorIs(t, open(), fail)
}

func (m socketInMemory) SetDeadline(t time.Time) error {
	return errors.Join(m.SetReadDeadline(t), m.SetWriteDeadline(t))
}
