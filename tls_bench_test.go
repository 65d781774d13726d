package chanio_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// BenchmarkTLSHandshake is a whole connection, from dial to end, with both
// sides on this machine.
func BenchmarkTLSHandshake(b *testing.B) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, cached := range []bool{false, true} {
			name := tls.VersionName(version) + "/full"
			if cached {
				name = tls.VersionName(version) + "/resumed"
			}
			b.Run(name, func(b *testing.B) {
				server, client := testTLS(b)
				client.MaxVersion = version
				if cached {
					client.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				}
				benchmarkHandshakes(b, server, client, cached)
			})
		}
	}
}

func benchmarkHandshakes(b *testing.B, server, client *tls.Config, resumed bool) {
	l := listenTCP(b, &chanio.Options{TLS: server})
	served := make(chan struct{})
	go func() {
		defer close(served)
		for s := range l.Sessions() {
			s.Put([]byte("x")) // it comes after the ticket
		}
	}()
	visit := func() bool {
		s, err := chanio.Dial(context.Background(), "tcp", l.Addr().String(), &chanio.Options{TLS: client})
		require.NoError(b, err)
		<-s.Recv()
		state, _ := s.TLS()
		s.Abort(nil)
		<-s.Done()
		return state.DidResume
	}
	visit()
	b.ReportAllocs()
	for b.Loop() {
		if visit() != resumed {
			b.Fatal("resumed, or not, against expectation")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "handshakes/s")
	l.Close()
	<-served
}

// BenchmarkTLSStream is the one-way throughput of a session to a peer of
// crypto/tls, beside crypto/tls at both ends.
func BenchmarkTLSStream(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 64 << 10} {
		message := noise(size)
		b.Run(fmt.Sprintf("%dB", size)+"/session", func(b *testing.B) {
			server, client := testTLS(b)
			l := listenTCP(b, &chanio.Options{TLS: server})
			peer := dialStdTLS(b, l.Addr(), client)
			s := <-l.Sessions()
			benchmarkStream(b, peer, size, func() error {
				s.Send() <- message
				return nil
			})
		})
		b.Run(fmt.Sprintf("%dB", size)+"/std", func(b *testing.B) {
			server, client := testTLS(b)
			ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
			require.NoError(b, err)
			defer ln.Close()
			accepted := make(chan net.Conn)
			go func() {
				conn, _ := ln.Accept()
				conn.(*tls.Conn).Handshake()
				accepted <- conn
			}()
			peer := dialStdTLS(b, ln.Addr(), client)
			conn := <-accepted
			defer conn.Close()
			benchmarkStream(b, peer, size, func() error {
				_, err := conn.Write(message)
				return err
			})
		})
	}
}

// benchmarkStream writes messages of one size while peer reads.
func benchmarkStream(b *testing.B, peer net.Conn, size int, write func() error) {
	b.SetBytes(int64(size))
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.CopyBuffer(struct{ io.Writer }{io.Discard}, peer, make([]byte, 64<<10))
	}()
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, write())
	}
	peer.(*tls.Conn).NetConn().Close()
	<-read
}

func dialStdTLS(b *testing.B, addr net.Addr, client *tls.Config) net.Conn {
	client = client.Clone()
	client.ServerName = "localhost"
	peer, err := tls.Dial(addr.Network(), addr.String(), client)
	require.NoError(b, err)
	b.Cleanup(func() { peer.Close() })
	return peer
}
