package chanio_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/chanio"
)

// A sink is a connection whose writes cost nothing, and whose peer never
// writes.
type sink struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (*sink) Write(p []byte) (int, error) { return len(p), nil }

func (s *sink) Read([]byte) (int, error) {
	<-s.closed
	return 0, net.ErrClosed
}

func (s *sink) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// sinkHub returns a hub of n members over sinks.
func sinkHub(b *testing.B, n int, o *chanio.Options) *chanio.Hub {
	b.Helper()
	h := testHub(b, o)
	for range n {
		conn, _ := net.Pipe()
		s := chanio.NewSession(context.Background(), &sink{Conn: conn, closed: make(chan struct{})}, nil)
		b.Cleanup(func() { s.Abort(nil); <-s.Done() })
		require.NoError(b, h.Join(s))
	}
	return h
}

// BenchmarkHubPublish publishes as fast as it can: to no member, and to members
// whose writes cost nothing.
func BenchmarkHubPublish(b *testing.B) {
	m := make([]byte, 32)
	for _, members := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			h := sinkHub(b, members, &chanio.Options{Lag: chanio.LagBlock})
			b.ReportAllocs()
			for b.Loop() {
				h.Multicast(m)
			}
			h.Flush(b.Context())
		})
	}
}

// BenchmarkHubPublishBatch: an op is a message of a batch of lines that is published to
// one member: a batch that was received, and one that was built.
func BenchmarkHubPublishBatch(b *testing.B) {
	wire := bytes.Repeat([]byte("a line of text of 31 bytes, so.\n"), 1000)
	in := chanio.NewInbox(chanio.Lines{}, 1<<10, false)
	if _, err := in.Read(wire, len(wire)); err != nil {
		b.Fatal(err)
	}
	built := chanio.NewBatch()
	for _, m := range in.Batch().All() {
		built.Append(m)
	}
	for name, batch := range map[string]*chanio.Batch{"received": in.Batch(), "built": built} {
		b.Run(name, func(b *testing.B) {
			h := testHub(b, &chanio.Options{Lag: chanio.LagBlock, Framing: chanio.Lines{}})
			conn, _ := net.Pipe()
			s := chanio.NewSession(context.Background(), &sink{Conn: conn, closed: make(chan struct{})}, &chanio.Options{Framing: chanio.Lines{}})
			b.Cleanup(func() { s.Abort(nil); <-s.Done() })
			require.NoError(b, h.Join(s))
			b.ReportAllocs()
			for n := 0; n < b.N; n += batch.Len() {
				h.MulticastBatch(batch)
			}
			h.Flush(b.Context())
		})
	}
}

// BenchmarkHubWake sends a message to idle members and waits until the last has
// it.
func BenchmarkHubWake(b *testing.B) {
	m := make([]byte, 32)
	for _, members := range []int{1, 100} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			h := sinkHub(b, members, nil)
			b.ReportAllocs()
			for b.Loop() {
				h.Multicast(m)
				h.Flush(b.Context())
			}
		})
	}
}

// BenchmarkHubJoinLeave is one member that joins and leaves beside a hundred
// others.
func BenchmarkHubJoinLeave(b *testing.B) {
	h := sinkHub(b, 100, &chanio.Options{EventQueue: -1})
	s := pipeSessions(b, 1, nil)[0]
	b.ReportAllocs()
	for b.Loop() {
		h.Join(s)
		h.Leave(s)
	}
}

// BenchmarkIdleHubs measures what making a room of three costs.
func BenchmarkIdleHubs(b *testing.B) {
	sessions := pipeSessions(b, 3, nil)
	b.ReportAllocs()
	for b.Loop() {
		h := chanio.NewHub(b.Context(), nil)
		for _, s := range sessions {
			h.Join(s)
		}
		h.Close()
	}
}
