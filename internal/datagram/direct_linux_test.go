package datagram

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestADatagramAloneGoesOutTheSameWithoutTheFerry(t *testing.T) {
	for _, c := range []struct{ name, network, address, peer string }{
		{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1:0"},
		{"IPv6", "udp6", "[::1]:0", "[::1]:0"},
		{"IPv4 over a socket of both", "udp", "[::]:0", "127.0.0.1:0"},
		{"IPv6 over a socket of both", "udp", "[::]:0", "[::1]:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, direct := range []bool{true, false} {
				a, b := listen(t, c.network, c.address, Config{ManyWriters: true}), listen(t, "udp", c.peer, Config{})
				a.engine.(*batched).direct = direct
				for i, size := range []int{1, 0, 1472, 9000, MaxPayload4} {
					p := Packet{Addr: b.LocalAddr(), Data: pattern(i, size)}
					if direct {
						done, err := a.sendDirect(&p)
						require.NoError(t, err)
						require.True(t, done)
					} else {
						write(t, a, p)
					}
					got := receive(t, b, 1)[0]
					require.Equal(t, p.Data, got.Data)
					require.Equal(t, a.LocalAddr().Port(), got.Addr.Port())
				}
				n, err := a.Write([]Packet{{Addr: b.LocalAddr(), Data: make([]byte, MaxPayload6+1)}})
				require.ErrorIs(t, err, unix.EMSGSIZE)
				require.Zero(t, n)
			}
		})
	}
}

func TestADatagramThatNeedsMoreThanAnAddressGoesByTheFerry(t *testing.T) {
	peer := listen(t, "udp4", "127.0.0.1:0", Config{})
	wildcard := listen(t, "udp4", "0.0.0.0:0", Config{ManyWriters: true})
	one := listen(t, "udp4", "127.0.0.1:0", Config{ManyWriters: true})
	connected := dial(t, "udp4", peer.LocalAddr(), Config{ManyWriters: true})
	link := netip.MustParseAddrPort("[ff02::1%lo]:9")
	for _, test := range []struct {
		name string
		c    *Conn
		p    Packet
	}{
		{"a source", wildcard, Packet{Addr: peer.LocalAddr(), Local: netip.MustParseAddrPort("127.0.0.2:1")}},
		{"another family", one, Packet{Addr: netip.MustParseAddrPort("[::1]:9")}},
		{"a zone", one, Packet{Addr: link}},
		{"no address of its own", connected, Packet{Addr: peer.LocalAddr()}},
	} {
		t.Run(test.name, func(t *testing.T) {
			done, err := test.c.sendDirect(&test.p)
			require.NoError(t, err)
			require.False(t, done)
		})
	}
}

func TestADirectDatagramOfAClosedSocketIsAnError(t *testing.T) {
	c := listen(t, "udp4", "127.0.0.1:0", Config{ManyWriters: true})
	c.engine.(*batched).direct = true
	require.NoError(t, c.Close())
	_, err := c.Write([]Packet{{Addr: c.LocalAddr(), Data: []byte("x")}})
	require.ErrorIs(t, err, net.ErrClosed)
}
