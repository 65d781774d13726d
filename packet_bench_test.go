package chanio

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
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
				server, err := listenPacket(b.Context(), "udp4", "127.0.0.1:0", nil, mode.oneByOne)
				require.NoError(b, err)
				defer server.Close()
				client, err := listenPacket(b.Context(), "udp4", "127.0.0.1:0", nil, mode.oneByOne)
				require.NoError(b, err)
				defer client.Close()
				go func() {
					for m := range server.Recv() {
						server.Send() <- m
					}
				}()
				m := Packet{Addr: server.LocalAddr(), Data: make([]byte, 32)}
				for range inFlight {
					require.NoError(b, client.Put(m))
				}
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
			for b.Loop() {
				client.Read(buf)
				client.Write(buf[:32])
			}
		})
	}
}
