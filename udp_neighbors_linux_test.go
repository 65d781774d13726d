package chanio_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
	"example.com/chanio/internal/test/netns"
)

// A lan is a link between the test's host and another one that plays many: one
// that stays, and some that can be unplugged.
type lan struct {
	t       *testing.T
	there   func(func())
	network string
	here    netip.Addr
	stays   netip.Addr
	others  []netip.Addr
}

// newLAN returns a LAN in which the kernel looks for a host for far longer than a
// test takes, instead of 3 s, so that what waits for it waits.
func newLAN(t *testing.T, network string, others int) *lan {
	t.Helper()
	l := &lan{t: t, there: netns.Veth(t), network: network, here: netip.MustParseAddr("10.7.7.1")}
	if network == "udp6" {
		l.here = netip.MustParseAddr("fd07::1")
	}
	l.stays = l.here.Next()
	for a := l.stays; len(l.others) < others; {
		a = a.Next()
		l.others = append(l.others, a)
	}
	require.NoError(t, netns.Run("sysctl -qw net.ipv4.neigh.v0.mcast_solicit=1000 net.ipv6.neigh.v0.mcast_solicit=1000"))
	l.plug()
	return l
}

// plug connects the others.
func (l *lan) plug() { l.address("add") }

// unplug disconnects the others, and makes the kernel forget them.
func (l *lan) unplug() {
	l.t.Helper()
	l.address("del")
	require.NoError(l.t, netns.Run("ip neigh flush dev v0; ip -6 neigh flush dev v0"))
}

func (l *lan) address(how string) {
	l.t.Helper()
	bits := map[string]int{"udp4": 24, "udp6": 64}[l.network]
	var script strings.Builder
	for _, a := range l.others {
		fmt.Fprintf(&script, "ip addr %s %v/%d dev v0", how, a, bits)
		if how == "add" && a.Is6() {
			script.WriteString(" nodad")
		}
		script.WriteString("\n")
	}
	var err error
	l.there(func() { err = netns.Run(script.String()) })
	require.NoError(l.t, err)
}

// dial returns a socket of the host with that address, connected to a port of the
// test's host.
func (l *lan) dial(from netip.Addr, to netip.AddrPort) (conn *net.UDPConn) {
	l.t.Helper()
	var err error
	l.there(func() {
		conn, err = net.DialUDP(l.network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
	})
	require.NoError(l.t, err)
	l.t.Cleanup(func() { conn.Close() })
	return conn
}

// free returns an address on the LAN with a free port.
func (l *lan) free() string { return net.JoinHostPort(l.here.String(), "0") }

var lans = []struct {
	network         string
	unplugged, size int
}{
	{"udp4", 2, 100}, {"udp4", 20, 100}, {"udp4", 2, 1400}, {"udp6", 2, 100}, {"udp6", 20, 1400},
}

// Unplugged peers on the local link take nothing from the others: what is sent to
// them fails and is reported, and it arrives again once they are back.
func TestUnpluggedPeersDoNotStopTheSendingToOthers(t *testing.T) {
	for _, test := range lans {
		t.Run(fmt.Sprintf("%s, %d, %d bytes", test.network, test.unplugged, test.size), func(t *testing.T) {
			lan := newLAN(t, test.network, test.unplugged)
			l := listenUDPAt(t, test.network, lan.free(), &chanio.Options{EventQueue: 8})
			to := l.Addr().(*net.UDPAddr).AddrPort()
			session := func(from netip.Addr) (*net.UDPConn, *chanio.Session) {
				conn := lan.dial(from, to)
				_, err := conn.Write([]byte("hello"))
				require.NoError(t, err)
				return conn, nextSession(t, l)
			}
			good, s := session(lan.stays)
			go echo(s)
			require.Equal(t, "hello", hear(t, good))
			var gone []*chanio.Session
			var conns []*net.UDPConn
			for _, a := range lan.others {
				conn, s := session(a)
				conns, gone = append(conns, conn), append(gone, s)
			}

			lan.unplug()
			for _, s := range gone {
				go func() { // ends with the session
					for s.Put(make([]byte, test.size)) == nil {
					}
				}()
			}
			for _, s := range gone {
				for s.Stats().MessagesDropped < 1000 {
					require.Equal(t, "still there", ask(t, good, "still there"))
				}
				require.ErrorIs(t, s.Flush(t.Context()), syscall.EHOSTUNREACH)
				require.NoError(t, s.Err())
			}
			require.ErrorIs(t, tlsEvent(t, l.Events(), chanio.EventFailed).Err, syscall.EHOSTUNREACH)

			lan.plug() // the kernel asks for them each second
			for _, conn := range conns {
				require.Len(t, hear(t, conn), test.size)
			}
		})
	}
}

// The same for an endpoint, whose only writer sends to all.
func TestUnpluggedHostsDoNotStopAnEndpoint(t *testing.T) {
	for _, test := range lans {
		t.Run(fmt.Sprintf("%s, %d, %d bytes", test.network, test.unplugged, test.size), func(t *testing.T) {
			lan := newLAN(t, test.network, test.unplugged)
			lan.unplug()
			p := packetConn(t, test.network, lan.free(), nil, false)
			good := lan.dial(lan.stays, p.LocalAddr())
			go func() { // ends with the endpoint
				for m := range p.Recv() {
					p.Put(m)
				}
			}()
			go func() { // ends with the endpoint
				for {
					for _, a := range lan.others {
						if p.Put(chanio.Packet{Addr: netip.AddrPortFrom(a, 9), Data: make([]byte, test.size)}) != nil {
							return
						}
					}
				}
			}()
			for p.Stats().MessagesDropped < 10_000 {
				require.Equal(t, "still there", ask(t, good, "still there"))
			}
			require.ErrorIs(t, p.Flush(t.Context()), syscall.EHOSTUNREACH)
		})
	}
}

// A burst to a neighbor that the kernel has yet to find is not lost while that
// answers.
func TestABurstToANewNeighborArrivesWhole(t *testing.T) {
	for _, network := range []string{"udp4", "udp6"} {
		t.Run(network, func(t *testing.T) {
			lan := newLAN(t, network, 1)
			p := packetConn(t, network, lan.free(), nil, false)
			conn := lan.dial(lan.others[0], p.LocalAddr())
			const burst = 150 // more than a quarter of a send buffer, and less than a receive buffer
			for range burst {
				require.NoError(t, p.Put(chanio.Packet{Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(), Data: []byte("burst")}))
			}
			require.NoError(t, p.Flush(t.Context()))
			for range burst {
				require.Equal(t, "burst", hear(t, conn))
			}
		})
	}
}
