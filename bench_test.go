package chanio_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// These benchmarks cover the parts of a stream's hot path, from the inside out.
// Those of hubs, framings, datagrams, timers, services and TLS are beside their
// tests, in files that end in _bench_test.go.

// BenchmarkInbox: an op is a read of 64 KiB of messages, cut into a batch and
// delivered whole or taken apart.
func BenchmarkInbox(b *testing.B) {
	for _, f := range []chanio.Framing{chanio.Lines{}, chanio.LengthPrefix{}, netstring{}} {
		for _, size := range []int{32, 1 << 10} {
			var wire []byte
			for len(wire) < chanio.BlockSize-2*size {
				wire, _ = f.AppendFrame(wire, bytes.Repeat([]byte("x"), size))
			}
			for _, copies := range []bool{false, true} {
				b.Run(fmt.Sprintf("%T/%dB/copies=%v", f, size, copies), func(b *testing.B) {
					in := chanio.NewInbox(f, 1<<20, copies)
					b.ReportAllocs()
					b.SetBytes(int64(len(wire)))
					messages := 0
					for b.Loop() {
						if _, err := in.Read(wire, len(wire)); err != nil {
							b.Fatal(err)
						}
						for i := range in.Len() {
							messages++
							if copies {
								in.Message(i)
							}
						}
						in.Drop()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(messages), "ns/message")
				})
			}
		}
	}
}

// benchEnds are the connections of the benchmarks of whole sessions.
var benchEnds = []struct {
	name string
	make func(testing.TB) (a, b net.Conn)
}{
	{"pipe", func(testing.TB) (a, b net.Conn) { return net.Pipe() }},
	{"loopback", func(t testing.TB) (a, b net.Conn) { return socketPair(t, "tcp") }},
}

// BenchmarkSessionEcho: an op is a message of 32 bytes from a plain peer through a
// session's Recv, its handler, Send, and back. The twin is a goroutine that reads
// and writes.
func BenchmarkSessionEcho(b *testing.B) {
	for _, ends := range benchEnds {
		b.Run(ends.name+"/session", func(b *testing.B) {
			peer, conn := ends.make(b)
			s := chanio.NewSession(context.Background(), conn, nil)
			served := make(chan struct{})
			go func() { // ends with the session
				defer close(served)
				for m := range s.Recv() {
					select {
					case s.Send() <- m:
					case <-s.Done():
					}
				}
			}()
			benchmarkRoundTrips(b, peer)
			s.Abort(nil)
			<-served
			<-s.Done()
		})
		b.Run(ends.name+"/std", func(b *testing.B) {
			peer, conn := ends.make(b)
			served := make(chan struct{})
			go func() { // ends with the connection
				defer close(served)
				buf := make([]byte, chanio.BlockSize)
				for {
					n, err := conn.Read(buf)
					if err != nil {
						return
					}
					if _, err := conn.Write(buf[:n]); err != nil {
						return
					}
				}
			}()
			benchmarkRoundTrips(b, peer)
			conn.Close()
			<-served
		})
	}
}

// benchmarkRoundTrips sends a message and waits for it, again and again, and
// closes the connection.
func benchmarkRoundTrips(b *testing.B, peer net.Conn) {
	b.Helper()
	defer peer.Close()
	m, buf := make([]byte, 32), make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := peer.Write(m); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(peer, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSessionSend: an op is a message of 32 bytes, gathered by the writer
// and sent as fast as a peer that reads everything takes it.
func BenchmarkSessionSend(b *testing.B) {
	for _, ends := range benchEnds {
		b.Run(ends.name, func(b *testing.B) {
			peer, conn := ends.make(b)
			s := chanio.NewSession(context.Background(), conn, nil)
			read := make(chan struct{})
			go func() { // ends with the session
				defer close(read)
				_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{peer}, make([]byte, chanio.BlockSize))
			}()
			m := make([]byte, 32)
			b.ReportAllocs()
			b.SetBytes(int64(len(m)))
			for b.Loop() {
				s.Send() <- m
			}
			require.NoError(b, s.Flush(context.Background()))
			s.Abort(nil)
			<-s.Done()
			<-read
			peer.Close()
		})
	}
}

// BenchmarkSessionReceive: an op is a framed message of 32 bytes received, from a
// peer that writes as many as a block holds at a time.
func BenchmarkSessionReceive(b *testing.B) {
	wire, err := chanio.LengthPrefix{}.AppendFrame(nil, make([]byte, 32))
	require.NoError(b, err)
	wire = bytes.Repeat(wire, chanio.BlockSize/len(wire))
	for _, ends := range benchEnds {
		b.Run(ends.name, func(b *testing.B) {
			peer, conn := ends.make(b)
			s := chanio.NewSession(context.Background(), conn, &chanio.Options{Framing: chanio.LengthPrefix{}})
			wrote := make(chan struct{})
			go func() { // ends with the session
				defer close(wrote)
				for {
					if _, err := peer.Write(wire); err != nil {
						return
					}
				}
			}()
			b.ReportAllocs()
			b.SetBytes(32)
			for b.Loop() {
				if _, ok := <-s.Recv(); !ok {
					b.Fatal(s.Err())
				}
			}
			s.Abort(nil)
			<-s.Done()
			<-wrote
			peer.Close()
		})
	}
}
