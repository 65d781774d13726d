package chanio_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"

	"example.com/chanio"
)

// BenchmarkPacketEcho measures one client with datagrams in flight and an echo
// server, both over channels, in one process.
func BenchmarkPacketEcho(b *testing.B) {
	for _, mode := range []struct {
		name     string
		oneByOne bool
	}{{"batches", false}, {"one by one", true}} {
		for _, inFlight := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/%d in flight", mode.name, inFlight), func(b *testing.B) {
				server, err := chanio.ListenPacketBy(b.Context(), "udp4", "127.0.0.1:0", nil, mode.oneByOne)
				require.NoError(b, err)
				defer server.Close()
				client, err := chanio.ListenPacketBy(b.Context(), "udp4", "127.0.0.1:0", nil, mode.oneByOne)
				require.NoError(b, err)
				defer client.Close()
				go func() {
					for m := range server.Recv() {
						select {
						case server.Send() <- m:
						case <-server.Done():
						}
					}
				}()
				m := chanio.Packet{Addr: server.LocalAddr(), Data: make([]byte, 32)}
				for range inFlight {
					require.NoError(b, client.Put(m))
				}
				b.ReportAllocs()
				for b.Loop() {
					<-client.Recv()
					client.Send() <- m
				}
				client.Abort(nil)
			})
		}
	}
}

// BenchmarkStdEcho is BenchmarkPacketEcho with a loop over a net.UDPConn at
// both ends.
func BenchmarkStdEcho(b *testing.B) {
	for _, inFlight := range []int{1, 1000} {
		b.Run(fmt.Sprintf("%d in flight", inFlight), func(b *testing.B) {
			server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			require.NoError(b, err)
			defer server.Close()
			client, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
			require.NoError(b, err)
			defer client.Close()
			go func() {
				buf := make([]byte, 65536)
				for {
					n, from, err := server.ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					server.WriteToUDPAddrPort(buf[:n], from)
				}
			}()
			buf := make([]byte, 65536)
			for range min(inFlight, 250) {
				client.Write(buf[:32])
			}
			b.ReportAllocs()
			for b.Loop() {
				client.Read(buf)
				client.Write(buf[:32])
			}
		})
	}
}

// groupBurst is how many datagrams the group benchmarks send before they wait
// until all members have them: few enough for any receive buffer.
const groupBurst = 64

// BenchmarkGroup measures a sender and 100 members of a multicast group, on the
// loopback interface. An operation is one datagram for all members.
func BenchmarkGroup(b *testing.B) {
	for _, mode := range []struct {
		name     string
		oneByOne bool
	}{{"batches", false}, {"one by one", true}} {
		b.Run(mode.name, func(b *testing.B) {
			port := freePort(b)
			got := make(chan struct{})
			for range 100 {
				p := groupConn(b, "udp4", "239.255.7.9", port, chanio.Options{}, mode.oneByOne)
				go func() {
					n := 0
					for range p.Recv() {
						if n++; n%groupBurst == 0 {
							got <- struct{}{}
						}
					}
				}()
			}
			s := packetConn(b, "udp4", "127.0.0.1:0", onLoopback(b, chanio.Options{}), mode.oneByOne)
			m := chanio.Packet{Addr: netip.AddrPortFrom(netip.MustParseAddr("239.255.7.9"), port), Data: make([]byte, 32)}
			b.ReportAllocs()
			for n := 1; b.Loop(); n++ {
				s.Send() <- m
				if n%groupBurst == 0 {
					for range 100 {
						<-got
					}
				}
			}
		})
	}
}

// BenchmarkStdGroup is BenchmarkGroup with net.UDPConns.
func BenchmarkStdGroup(b *testing.B) {
	lo := loopbackInterface(b)
	group := &net.UDPAddr{IP: net.IPv4(239, 255, 7, 9), Port: int(freePort(b))}
	got := make(chan struct{})
	for range 100 {
		c, err := net.ListenMulticastUDP("udp4", lo, group)
		require.NoError(b, err)
		defer c.Close()
		go func() {
			buf := make([]byte, 65536)
			for n := 1; ; n++ {
				if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
					return
				}
				if n%groupBurst == 0 {
					got <- struct{}{}
				}
			}
		}()
	}
	s, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(b, err)
	defer s.Close()
	require.NoError(b, ipv4.NewPacketConn(s).SetMulticastInterface(lo))
	to, data := group.AddrPort(), make([]byte, 32)
	b.ReportAllocs()
	for n := 1; b.Loop(); n++ {
		if _, err := s.WriteToUDPAddrPort(data, to); err != nil {
			b.Fatal(err)
		}
		if n%groupBurst == 0 {
			for range 100 {
				<-got
			}
		}
	}
}
